"""A base model with random adapters, built on the spot: of a given shape with random weights, or a real model's copy.

Speed does not depend on what weights have learned, so a small random model shows one shape and SmolLM2 another. Both
get a tokenizer of one word per token, so that lengths are exact and text tells the token ids.

Knows neither workloads nor systems.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast

from core.adapters.content_hash import adapter_content_hash
from core.generation import AdapterRef

R = 16
LORA_ALPHA = 32
TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")
# Longer than any prompt that is measured.
MAX_TOKENS = 4096
# Wide enough that the likeliest token leads clearly, so that rounding cannot change a greedy choice.
WEIGHT_STD = 0.05

SPECIAL = ("<|pad|>", "<|unknown|>", "<|start|>", "<|end|>")
# Tokens that are not called w and their id.
NAMED = (*SPECIAL, "system", "user", "assistant")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|> {{ message['role'] }} {{ message['content'] }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|start|> assistant{% endif %}"
)


@dataclass(frozen=True)
class BaseShape:
    """Sizes of a Llama model, in its config's own names."""

    hidden_size: int = 512
    intermediate_size: int = 1408
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    num_key_value_heads: int = 4
    vocab_size: int = 16384


# Only to see that everything runs.
QUICK_SHAPE = BaseShape(128, 256, 2, 4, 2, 1024)


@dataclass(frozen=True)
class RandomBase:
    """Where the base model lies, in which dtype to compute, and its adapters' versions in `folder`/adapters.

    `has_clear_choices`: its likeliest token leads clearly, so every system must write the same greedy tokens in fp32.
    `gguf`: a real model's file, for systems that read nothing else.
    """

    folder: Path
    dtype: str
    name: str
    shape: BaseShape
    parameters: int
    has_clear_choices: bool
    adapters: int
    gguf: Path | None = None

    @property
    def model_folder(self) -> Path:
        return self.folder / "base"

    @property
    def adapter_folders(self) -> tuple[Path, ...]:
        return tuple(self.folder / "adapters" / adapter_name(index) for index in range(self.adapters))

    @property
    def adapter_refs(self) -> tuple[AdapterRef, ...]:
        return tuple(AdapterRef(f"{path.name}@1", adapter_content_hash(path)) for path in self.adapter_folders)


def adapter_name(index: int) -> str:
    """Name of the adapter a request asks for by its index."""
    return f"adapter{index}"


def make_random_base(
    folder: Path, name: str, shape: BaseShape, *, adapters: int, dtype: str = "float32", seed: int = 0
) -> RandomBase:
    """Write a random base model of this shape, its tokenizer and adapters below `folder`."""
    tokenizer = _make_tokenizer(shape.vocab_size)
    config = LlamaConfig(
        **asdict(shape),
        initializer_range=WEIGHT_STD,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=False,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        # As models are published: fp32 on a CPU then computes with weights that fp16 holds.
        for weight in model.parameters():
            weight.copy_(weight.bfloat16())
        # A logit of 0 is never the highest of thousands: no reply ends before its length, and every token shows.
        model.lm_head.weight[: len(SPECIAL)] = 0
        base = RandomBase(folder, dtype, name, shape, _count(model), has_clear_choices=True, adapters=adapters)
        _save(base, model, tokenizer)
    return base


def copy_base(
    folder: Path,
    name: str,
    source: Path,
    *,
    adapters: int,
    gguf: Path | None = None,
    dtype: str = "float32",
    seed: int = 0,
) -> RandomBase:
    """Write a real model's weights below `folder`, with a tokenizer of its size and random adapters."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, local_files_only=True)
        shape = BaseShape(**{field.name: getattr(model.config, field.name) for field in fields(BaseShape)})
        tokenizer = _make_tokenizer(shape.vocab_size)
        # As above; where the head is tied, these tokens are read as nothing, too, which takes as long.
        model.get_output_embeddings().weight[: len(SPECIAL)] = 0
        # Its own sampling, a penalty for instance, would make some systems write other tokens than the rest.
        model.generation_config = GenerationConfig()
        for config in (model.config, model.generation_config):
            config.bos_token_id, config.pad_token_id = None, tokenizer.pad_token_id
            config.eos_token_id = tokenizer.eos_token_id
        base = RandomBase(folder, dtype, name, shape, _count(model), False, adapters, gguf)
        _save(base, model, tokenizer)
    return base


def _count(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _save(base: RandomBase, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.save_pretrained(base.model_folder)
    model.to(getattr(torch, base.dtype)).save_pretrained(base.model_folder)
    _save_adapters(model.float(), base)


def words_to_ids(text: str) -> tuple[int, ...]:
    """Token ids of what a model of this tokenizer wrote."""
    return tuple(NAMED.index(word) if word in NAMED else int(word.removeprefix("w")) for word in text.split())


def _make_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """One word per token, so that text and token ids tell the same and lengths are exact."""
    words = [*NAMED, *(f"w{index}" for index in range(len(NAMED), vocab_size))]
    vocab = {word: index for index, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<|unknown|>"))  # noqa: S106
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pad, unknown, start, end = SPECIAL
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=pad, unk_token=unknown, eos_token=end, additional_special_tokens=[start]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _save_adapters(model: torch.nn.Module, base: RandomBase) -> None:
    """Adapters that visibly change what the model writes: A keeps the scale of its input, B shrinks it."""
    lora = LoraConfig(r=R, lora_alpha=LORA_ALPHA, target_modules=list(TARGET_MODULES), task_type="CAUSAL_LM")
    names = [folder.name for folder in base.adapter_folders]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is being renamed
        peft_model = get_peft_model(model, lora, adapter_name=names[0])
        for name in names[1:]:
            peft_model.add_adapter(name, lora)
    for name, parameter in peft_model.named_parameters():
        if "lora_A" in name:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.03)
    peft_model.save_pretrained(str(base.folder / "adapters"))
