"""Tiny random base models and PEFT adapters for tests: real files, made in a second, no network.

The models are untrained. Their weights are drawn wide, so that greedy choices have clear margins.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from core.adapters.content_hash import adapter_content_hash
from core.generation import AdapterRef

SLIDING_WINDOW = 16
CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CORPUS = ("the captain sails the seven seas of code", "hello world, how are you today?", "naïve café — 你好 🙂")

_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}
_LAYER_TYPES = ["sliding_attention", "full_attention", "sliding_attention"]
_CONFIGS: dict[str, Callable[..., PreTrainedConfig]] = {
    "llama": LlamaConfig,
    "qwen2": lambda **sizes: Qwen2Config(**{name: size for name, size in sizes.items() if name != "head_dim"}),
    "qwen3": Qwen3Config,
    "gemma": lambda **sizes: Gemma2Config(
        **sizes, sliding_window=SLIDING_WINDOW, layer_types=_LAYER_TYPES, query_pre_attn_scalar=16
    ),
    "gemma3": lambda **sizes: Gemma3TextConfig(
        **sizes, sliding_window=SLIDING_WINDOW, layer_types=_LAYER_TYPES, query_pre_attn_scalar=16
    ),
    "phi3": Phi3Config,
    "mistral": lambda **sizes: MistralConfig(**sizes, sliding_window=SLIDING_WINDOW),
}
ARCHITECTURES = tuple(_CONFIGS)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 300 tokens with a ChatML template; reads any text back unchanged."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = CHATML_TEMPLATE
    return tokenizer


def make_tiny_model(architecture: str, folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Save a random model of this architecture with its tokenizer to `folder`. `changes` go to its config."""
    tokenizer = make_tokenizer()
    special = {"bos_token_id": None, "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = _CONFIGS[architecture](**{"vocab_size": len(tokenizer), **_SIZES, **special, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(
    model_folder: Path,
    folder: Path,
    *,
    seed: int,
    r: int = 16,
    lora_alpha: int = 32,
    target_modules: str | Sequence[str] | None = None,
    scale: float = 0.1,
    name: str | None = None,
    **changes: Any,
) -> AdapterRef:
    """Save a random PEFT adapter whose A and B are both drawn from N(0, scale²); by default on the attention."""
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    if target_modules is None:
        is_fused = model.config.model_type == "phi3"
        target_modules = ("qkv_proj", "o_proj") if is_fused else ("q_proj", "k_proj", "v_proj", "o_proj")
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    lora = LoraConfig(r=r, lora_alpha=lora_alpha, target_modules=targets, task_type="CAUSAL_LM", **changes)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is being renamed
        torch.manual_seed(seed)
        peft_model = get_peft_model(model, lora)
        for parameter_name, parameter in peft_model.named_parameters():
            if "lora_" in parameter_name:
                torch.nn.init.normal_(parameter, std=scale)
    peft_model.save_pretrained(folder)
    return AdapterRef(name or f"{folder.name}@1", adapter_content_hash(folder))
