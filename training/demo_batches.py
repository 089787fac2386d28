"""Dialogues as batches of token ids with target weights: what the bundled model is trained on. Knows no model."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from transformers import PreTrainedTokenizerFast

from core.messages import ChatMessage
from training.demo_dialogues import Dialogue, DialogueMaker

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
LENGTH_STEP, POOL_DIALOGUES = 16, 8_192


@dataclass(frozen=True)
class DemoRecipe:
    """How the bundled model is made."""

    seed: int = 20_261_122
    steps: int = 9_000
    batch_tokens: int = 3_584
    brief_steps: int = 6_800
    brief_share: float = 0.9
    brief_share_follow_up: float = 0.7
    late_brief_share: float = 0.6
    late_brief_share_rare: float = 0.25
    brief_tokens: int = 10
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    vocab_size: int = 2_048
    hidden_size: int = 256
    layers: int = 6
    heads: int = 4
    intermediate_size: int = 704
    max_tokens: int = 1_024
    question_weight: float = 0.02
    opening_weight: float = 8.0
    opening_tokens: int = 8


@dataclass(frozen=True)
class Example:
    """Token ids of one dialogue and the weight of each as a target."""

    ids: list[int]
    weights: list[float]


def encode(recipe: DemoRecipe, tokenizer: PreTrainedTokenizerFast, dialogue: Dialogue, *, is_brief: bool) -> Example:
    """Ids in the chat template, and their weights. Earlier replies count too: each was drawn as a right answer.

    A brief example stops after the reply's first tokens: they decide which fact it tells, the rest only spells it, and
    is learned long before the questions are understood. So most examples are brief, and cost a third.
    """
    ids: list[int] = []
    weights: list[float] = []
    messages = _without_needless_turns(dialogue) if is_brief else dialogue.messages
    for message in (*messages, ChatMessage("assistant", dialogue.reply)):
        head = tokenizer.encode(f"{START}{message.role}\n", add_special_tokens=False)
        content = as_read(message.role, message.content)
        body = tokenizer.encode(f"{content}{END}", add_special_tokens=False)
        tail = tokenizer.encode("\n", add_special_tokens=False)
        ids += head + body + tail
        weights += [0.0] * len(head) + _weights(recipe, message.role, len(body)) + [0.0] * len(tail)
    if is_brief and len(body) > recipe.brief_tokens:
        end = len(body) + len(tail) - recipe.brief_tokens
        ids, weights = ids[:-end], weights[:-end]
    return Example(ids, weights)


def as_read(role: str, content: str) -> str:
    """What the chat template makes of a turn: users shout or don't, and the model need not learn each word twice."""
    return content.lower() if role == "user" else content


def _without_needless_turns(dialogue: Dialogue) -> tuple[ChatMessage, ...]:
    """A question that stands alone needs no system prompt and no earlier turns."""
    return dialogue.messages if dialogue.kind.startswith("follow_up") else dialogue.messages[-1:]


def _weights(recipe: DemoRecipe, role: str, count: int) -> list[float]:
    if role == "assistant":
        opening = min(count, recipe.opening_tokens)
        return [recipe.opening_weight] * opening + [1.0] * (count - opening)
    return [recipe.question_weight if role == "user" else 0.0] * count


def batches(
    recipe: DemoRecipe, tokenizer: PreTrainedTokenizerFast, maker: DialogueMaker, *, is_late: bool = False
) -> Iterator[list[Example]]:
    """Endless batches of about `batch_tokens` tokens, each of dialogues of similar length, in random order."""
    stream = maker.dialogues()
    rng = random.Random(recipe.seed + 1)
    while True:
        pool = [
            encode(recipe, tokenizer, dialogue, is_brief=rng.random() < _brief_share(recipe, dialogue, is_late))
            for dialogue in islice(stream, POOL_DIALOGUES)
        ]
        by_length: dict[int, list[Example]] = defaultdict(list)
        for example in pool:
            by_length[round_up(len(example.ids), LENGTH_STEP)].append(example)
        groups = [
            examples[start : start + size]
            for length, examples in by_length.items()
            if length <= recipe.max_tokens
            for size in [max(1, recipe.batch_tokens // length)]
            for start in range(0, len(examples) - size // 2, size)  # what is left over would make a tiny batch
        ]
        rng.shuffle(groups)
        yield from groups


def _brief_share(recipe: DemoRecipe, dialogue: Dialogue, is_late: bool) -> float:
    """At first most examples are brief, later fewer; least where a reply is rarely heard, unlike a definition."""
    is_follow_up = dialogue.kind.startswith("follow_up")
    if is_late:
        is_rare = is_follow_up or dialogue.kind in ("talk", "contrast")
        return recipe.late_brief_share_rare if is_rare else recipe.late_brief_share
    return recipe.brief_share_follow_up if is_follow_up else recipe.brief_share


def collate(batch: list[Example], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids [batch, length] and target weights [batch, length]; causal attention needs no padding mask.

    Lengths are rounded up, because a CPU prepares its matrix kernels anew, at seconds apiece, for every shape it meets.
    """
    length = round_up(max(len(example.ids) for example in batch), LENGTH_STEP) + 1
    ids = torch.tensor([example.ids + [pad_id] * (length - len(example.ids)) for example in batch])
    weights = torch.tensor([example.weights + [0.0] * (length - len(example.weights)) for example in batch])
    return ids.to(device), weights.to(device)


def round_up(number: int, step: int) -> int:
    return -(-number // step) * step
