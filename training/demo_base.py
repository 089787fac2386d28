"""Trains the bundled base model from nothing on the dialogues the project generates, and writes core/demo_model/.

    python -m training.demo_base            # an hour and a half on 2 CPU cores, minutes on a GPU

The recipe in one breath: byte-level BPE, a small Llama, AdamW with a warm-up and a cosine decay, loss on the replies
alone, batches of dialogues of similar length. Everything is drawn from one seed.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from core.personas import load_personas
from core.settings import DEMO_MODEL_FOLDER, ROOT
from training.demo_attention import use_batched_products
from training.demo_batches import END, PAD, START, DemoRecipe, Example, as_read, batches, collate, round_up
from training.demo_card import write_card
from training.demo_check import measure
from training.demo_dialogues import Dialogue, DialogueMaker
from training.demo_facts import load_facts
from training.demo_replies import greedy_replies

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% set content = message['content'] | lower if message['role'] == 'user' else message['content'] %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + content + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TARGET_STEP = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DEMO_MODEL_FOLDER)
    parser.add_argument("--steps", type=int, default=DemoRecipe.steps)
    parser.add_argument("--seed", type=int, default=DemoRecipe.seed)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    recipe = DemoRecipe(seed=arguments.seed, steps=arguments.steps)
    build(recipe, arguments.output, torch.device(arguments.device))


def build(recipe: DemoRecipe, output: Path, device: torch.device) -> None:
    """Train and save the model; the folder is replaced only once everything is written."""
    console = Console()
    torch.manual_seed(recipe.seed)
    prompts = [persona.system_prompt for persona in load_personas(ROOT / "personas").values()]
    maker = DialogueMaker(load_facts(), seed=recipe.seed, system_prompts=prompts)
    console.print(f"Teaching {len(maker.facts.subjects)} subjects to a model built from nothing, on {device}.")
    tokenizer = train_tokenizer(recipe, maker)
    model = make_model(recipe, tokenizer).to(device)
    console.print(f"{model.num_parameters():,} parameters, {len(tokenizer):,} tokens of vocabulary.")
    late_maker = DialogueMaker(maker.facts, seed=recipe.seed + 1, system_prompts=prompts)
    early, late = batches(recipe, tokenizer, maker), batches(recipe, tokenizer, late_maker, is_late=True)
    seconds, loss = train(recipe, model, early, late, device, console)
    console.print("Asking what it never saw ...")
    model.to(torch.bfloat16).float()  # measured as it is saved
    figures = measure(maker.facts, lambda chats: greedy_replies(model, tokenizer, chats))
    facts = {
        **asdict(recipe),
        "parameters": model.num_parameters(),
        "subjects": len(maker.facts.subjects),
        "train_seconds": round(seconds),
        "final_loss": round(loss, 4),
        "device": str(device),
    }
    save(model, tokenizer, output, lambda folder: write_card(folder, figures, facts), facts)
    right = ", ".join(f"{kind} {rate:.1%}" for kind, rate in figures["fresh"]["right"].items())
    console.print(f"Wrote {output} after {seconds / 60:.0f} minutes of training. Right on held-out questions: {right}.")


def train_tokenizer(recipe: DemoRecipe, maker: DialogueMaker) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on replies and questions, so that no input is ever unknown."""
    texts = (message for dialogue in islice(maker.dialogues(), 20_000) for message in _texts(dialogue))
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=recipe.vocab_size,
            special_tokens=[PAD, START, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        model_max_length=recipe.max_tokens,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts(dialogue: Dialogue) -> Iterator[str]:
    yield from (as_read(message.role, message.content) for message in dialogue.messages)
    yield dialogue.reply


def make_model(recipe: DemoRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.max_tokens,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attention_dropout=0.0,
    )
    return LlamaForCausalLM(config)


def train(
    recipe: DemoRecipe,
    model: LlamaForCausalLM,
    early: Iterator[list[Example]],
    late: Iterator[list[Example]],
    device: torch.device,
    console: Console,
) -> tuple[float, float]:
    """Learn which fact a question asks for, then to spell the replies: two optimisers, one falling rate.

    Returns the seconds taken and the smoothed loss on reply tokens at the end.
    """
    started, smooth, step = time.monotonic(), math.log(recipe.vocab_size), 0
    model.train()
    if device.type == "cpu":
        use_batched_products(model)
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    brief_steps = min(recipe.brief_steps, recipe.steps)
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=recipe.steps)
        for stream, count in ((early, brief_steps), (late, recipe.steps - brief_steps)):
            optimizer = make_optimizer(recipe, model)
            for batch in islice(stream, count):
                step += 1
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate * _rate(step, recipe)
                loss = _step(model, optimizer, *collate(batch, model.config.pad_token_id, device))
                smooth = 0.98 * smooth + 0.02 * loss
                progress.update(bar, advance=1, description=f"loss {smooth:.3f}")
                if not console.is_terminal and step % 100 == 0:
                    console.print(f"step {step}/{recipe.steps} loss {smooth:.4f} {time.monotonic() - started:.0f} s")
    model.eval().set_attn_implementation("sdpa")
    return time.monotonic() - started, smooth


def make_optimizer(recipe: DemoRecipe, model: LlamaForCausalLM) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)


def _rate(step: int, recipe: DemoRecipe) -> float:
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _step(model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, ids: torch.Tensor, weights: torch.Tensor) -> float:
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        # Only positions that carry weight go through the vocabulary, which is the widest layer of so small a model.
        weight = weights[:, 1:].flatten()
        count = int((weight > 0).sum())
        picked = weight.topk(min(round_up(count, TARGET_STEP), len(weight))).indices
        logits = model.lm_head(hidden.flatten(0, 1)[picked])
    weight = weight[picked]
    losses = functional.cross_entropy(logits.float(), ids[:, 1:].flatten()[picked], reduction="none")
    loss = (losses * weight).sum() / weight.sum()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        return float(losses[weight >= 1].mean())


def save(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    output: Path,
    add_card: Callable[[Path], None],
    facts: dict[str, Any],
) -> None:
    """bf16 safetensors, tokenizer, generation defaults, recipe and card, written aside and moved into place."""
    aside = output.with_name(output.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    model.eval().to(torch.bfloat16).save_pretrained(aside)
    tokenizer.save_pretrained(aside)
    GenerationConfig(
        do_sample=True,
        temperature=0.3,
        top_p=0.9,
        max_new_tokens=192,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    ).save_pretrained(aside)
    (aside / "recipe.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    add_card(aside)
    (aside / "model.safetensors").chmod(0o644)
    shutil.rmtree(output, ignore_errors=True)
    aside.rename(output)


if __name__ == "__main__":
    main()
