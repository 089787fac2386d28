"""A trainer that teaches some rows and holds the others where they were: there the model must say what it said before.

Text of the persona's own would be learned further, which is a change, too. What is held is the distribution of every
next token, by its Kullback-Leibler divergence from that of the weights that the training began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from training.resumable_trainer import ResumableTrainer, trained_parameters
from training.shared_prefix import IGNORED, Batch, Features

IS_HELD = "is_held"
HELD_WEIGHT = 0.4  # of a held token beside a taught one: there are about two and a half of them for each


@dataclass(frozen=True, slots=True)
class HeldCollator:
    """Adds to a batch which of its tokens are of held rows: `is_held`, as `labels`, true or false."""

    collate: Callable[[Features], Batch]

    def __call__(self, features: Features) -> Batch:
        batch = self.collate([{key: row[key] for key in row if key != IS_HELD} for row in features])
        flags = [bool(row[IS_HELD]) for row in features]
        rows, tokens = batch["labels"].shape
        if rows == len(features):
            held = torch.tensor(flags).unsqueeze(1).expand(rows, tokens)
        else:  # the rows stand behind each other, and what all begin with stands there once
            lengths = [len(row["input_ids"]) for row in features]
            shared = (sum(lengths) - tokens) // (len(features) - 1)
            of_rows = [flag for flag, length in zip(flags, lengths, strict=True) for _ in range(length - shared)]
            held = torch.tensor([[False] * shared + of_rows])
        return {**batch, IS_HELD: held}


class HoldingTrainer(ResumableTrainer):
    """SFT on the rows that are not `is_held`; the others are held. It resumes nothing.

    The sum over the tokens of both is divided by their number, so that a token counts the same in any batch.
    """

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While the block runs, held rows must go on saying what the model says now.

        Nothing is dropped meanwhile: two passes that drop differently would differ by that alone.
        """
        self._before = {name: each.detach().clone() for name, each in trained_parameters(self.model).items()}
        self.data_collator: Any = HeldCollator(self.data_collator)
        dropouts = [(each, each.p) for each in self.model.modules() if isinstance(each, nn.Dropout)]
        for each, _ in dropouts:
            each.p = 0.0
        try:
            yield
        finally:
            for each, p in dropouts:
                each.p = p

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        held, labels = inputs.pop(IS_HELD)[:, 1:], inputs.pop("labels")[:, 1:]
        held, taught = (part & (labels != IGNORED) for part in (held, ~held))
        with torch.no_grad(), self._as_before(model):
            before = log_softmax(model(**inputs, use_cache=False).logits[:, :-1][held].float(), dim=-1)
        logits = model(**inputs, use_cache=False).logits[:, :-1]
        now = log_softmax(logits[held].float(), dim=-1)
        divergence = kl_div(now, before, reduction="sum", log_target=True)
        loss = cross_entropy(logits[taught].float(), labels[taught], reduction="sum")
        self._metrics["train"]["kl"].append(divergence.item() / max(1, int(held.sum())))
        count = held.sum() + taught.sum() if num_items_in_batch is None else num_items_in_batch
        return (loss + HELD_WEIGHT * divergence) / count

    @contextmanager
    def _as_before(self, model: nn.Module) -> Iterator[None]:
        trained = trained_parameters(model)
        now = {name: each.data for name, each in trained.items()}
        for name, each in trained.items():
            each.data = self._before[name]
        try:
            yield
        finally:
            for name, each in trained.items():
                each.data = now[name]


def held_column(rows: Sequence[Any], taught: Sequence[Any]) -> list[bool]:
    """For every row whether it is held: it is none of those that are taught."""
    own = set(taught)
    return [row not in own for row in rows]
