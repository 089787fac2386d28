"""Turns feedback into rows for each stage of learning, and orders them. Knows no trainer.

Every prompt is built by `core.prompts.build`, which serves. What cannot be trained on is left out and counted: people
wrote it, and one odd text must not stop the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Literal, TypeVar

from core.engine.chat_template import ChatTemplate
from core.errors import InvalidInput
from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import build
from training.dataset_builder import Example, token_count
from training.feedback_set import FeedbackSet
from training.recipes import LearningRecipe

Source = Literal["feedback", "correction", "replay", "contrast"]
T = TypeVar("T")
KTO_MAX_RATIO = 4 / 3  # of desirable to undesirable weight: KTO's Eq. 8, https://arxiv.org/abs/2402.01306


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one prompt, the better one and the other."""

    chosen: Example
    rejected: Example


@dataclass(frozen=True, slots=True)
class Judged:
    """A reply that is wanted or not; `weight` is how much it counts among those of its label."""

    example: Example
    label: bool
    weight: float = 1.0
    source: Source = "feedback"


@dataclass(frozen=True, slots=True)
class LearningRows:
    """The feedback as examples. `left_out` counts, by reason, what could not be used."""

    corrected: tuple[Example, ...]
    preferred: tuple[Pair, ...]
    judged: tuple[Judged, ...]
    left_out: dict[str, int] = field(default_factory=dict)


class FeedbackReader:
    """Builds examples of a persona's conversations that fit `max_length` tokens with their replies."""

    def __init__(self, persona: Persona, template: ChatTemplate, *, max_length: int) -> None:
        self._system_prompt = persona.system_prompt
        self._template = template
        self._max_length = max_length

    def read(self, feedback: FeedbackSet) -> LearningRows:
        """Examples in the order of the feedback; corrections in that in which they were given."""
        left_out: Counter[str] = Counter()
        corrected = sorted(feedback.corrected, key=lambda one: (one.given_at, one.exchange_id))
        corrections = [self._example(one.messages, one.reply, left_out) for one in corrected]
        pairs = [
            (self._example(one.messages, one.chosen, left_out), self._example(one.messages, one.rejected, left_out))
            for one in feedback.preferred
        ]
        judged = [(self._example(one.messages, one.reply, left_out), one) for one in feedback.judged]
        return LearningRows(
            tuple(example for example in corrections if example),
            # Both replies must have kept the same turns of the conversation, or they answer different prompts.
            tuple(Pair(good, bad) for good, bad in pairs if good and bad and good.prompt == bad.prompt),
            tuple(Judged(example, one.label, one.weight) for example, one in judged if example and one.weight > 0),
            dict(sorted(left_out.items())),
        )

    def _example(self, messages: Sequence[dict[str, str]], reply: str, left_out: Counter[str]) -> Example | None:
        """The example as it is served; None where it cannot be trained on, which is counted."""
        text = reply.strip()
        turns = [ChatMessage(turn["role"], turn["content"]) for turn in messages]  # type: ignore[arg-type]
        if not text:
            left_out["empty"] += 1
        elif self._template.special_token_in("\n".join([*(turn.content for turn in turns), text])):
            left_out["writes out a special token"] += 1
        elif (example := self._fitted(turns, text)) is None:
            left_out["too long"] += 1
        else:
            return example
        return None

    def _fitted(self, turns: Sequence[ChatMessage], reply: str) -> Example | None:
        reply_tokens = len(self._template.encode_text(reply))
        for margin in (8, 16, 32):  # what the template writes around a reply
            budget = self._max_length - reply_tokens - margin
            if budget <= 0:
                return None
            try:
                prompt = build(
                    self._system_prompt, turns, budget_tokens=budget, count_tokens=self._template.count_tokens
                ).messages
            except InvalidInput:
                return None
            example = Example(prompt, reply)
            if token_count(example, self._template) <= self._max_length:
                return example
        return None


def feedback_hash(feedback: FeedbackSet) -> str:
    """sha256 over every row that is learned from, in its order."""
    rows = [[asdict(row) for row in group] for group in (feedback.corrected, feedback.preferred, feedback.judged)]
    return hashlib.sha256(json.dumps(rows, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def judged_order(rows: Sequence[Judged], replay: Sequence[Example], recipe: LearningRecipe) -> list[Judged]:
    """Every row once, labels spread evenly, so that each batch holds both; the last batch is filled with `replay`.

    The same text under both labels of neighbours would compare nothing, so rows are shuffled before.
    """
    if not rows:
        return []
    chance = random.Random(recipe.seed)
    missing = -len(rows) % recipe.batch_size
    known = {row.example for row in rows}
    filling = [Judged(example, True, source="replay") for example in replay if example not in known]
    rows = [*rows, *islice(filling, missing)]
    places: list[tuple[float, int, Judged]] = []
    for label in (True, False):
        group = shuffled([row for row in rows if row.label is label], chance)
        places += [((at + 0.5) / len(group), int(label), row) for at, row in enumerate(group)]
    return [row for _, _, row in sorted(places, key=lambda place: place[:2])]


def with_company(
    rows: LearningRows, replay: Sequence[Example], contrast: Sequence[Example], recipe: LearningRecipe
) -> list[Judged]:
    """The judged replies; with them, the persona's rows and corrections as wanted, the base's answers as unwanted."""
    if not rows.judged:
        return []
    own, others = company_counts(
        len(rows.judged), recipe.replay_share if replay else 0.0, recipe.contrast_share if contrast else 0.0
    )
    chance = random.Random(recipe.seed)
    known = {row.example for row in rows.judged}
    corrected = [example for example in dict.fromkeys(rows.corrected) if example not in known]
    replayed = [example for example in shuffled(replay, chance) if example not in known][:own]
    return [
        *rows.judged,
        *(Judged(example, True, source="correction") for example in corrected),
        *(Judged(example, True, source="replay") for example in replayed),
        *(Judged(example, False, source="contrast") for example in contrast[:others]),
    ]


def contrasts_wanted(count: int, recipe: LearningRecipe) -> int:
    """How many rows of contrast so many judged replies have beside them."""
    return company_counts(count, recipe.replay_share, recipe.contrast_share)[1]


def label_weights(rows: Sequence[Judged], max_weight: float) -> tuple[float, float]:
    """(desirable, undesirable): KTO's Eq. 8 wants desirable · rows between 1 and 4/3 of undesirable · rows.

    The rarer label counts more, up to `max_weight`. Where only one label is there, both count 1.
    """
    desirable = sum(row.weight for row in rows if row.label)
    undesirable = sum(row.weight for row in rows if not row.label)
    if not desirable or not undesirable:
        return 1.0, 1.0
    ratio = desirable / undesirable
    if ratio < 1:
        return min(max_weight, 1 / ratio), 1.0
    return 1.0, min(max_weight, max(1.0, ratio / KTO_MAX_RATIO))


def describe(rows: Sequence[Judged]) -> dict[str, Any]:
    """How many rows of which source and label, for the lineage."""
    counts = Counter(f"{row.source} {'up' if row.label else 'down'}" for row in rows)
    return dict(sorted(counts.items()))


def company_counts(feedback: int, replay_share: float, contrast_share: float) -> tuple[int, int]:
    """(replayed, contrasted) rows, so that each has its share of all."""
    total = feedback / (1 - replay_share - contrast_share)
    return math.ceil(replay_share * total - 1e-9), math.ceil(contrast_share * total - 1e-9)


def shuffled(items: Sequence[T], chance: random.Random) -> list[T]:
    """A copy in an order that chance decides."""
    mixed = list(items)
    chance.shuffle(mixed)
    return mixed
