"""Batches whose rows share the beginning of their prompts, written down once: a system prompt is half of a short row.

The rows stand behind each other in one sequence. Every row sees the shared beginning and itself, at the positions that
it has alone, so its loss is the same; on a CPU, where tokens are what costs, a step of short rows takes half the time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import Trainer

IGNORED = -100
MIN_SAVED = 0.15  # of a padded batch's tokens
MAX_TOKENS = 2048  # attention over all rows together grows with the square
TOLERANCE = 1e-3

Batch = dict[str, Any]
Features = Sequence[dict[str, Any]]

logger = logging.getLogger(__name__)


class SharedPrefixCollator:
    """Collates `input_ids` and `labels` of rows to one sequence where that saves tokens, else as `padded` does.

    A shared batch holds `input_ids`, `labels` and `position_ids` [1, tokens] and `attention_mask` [1, 1, tokens,
    tokens], true where a token may look.
    """

    def __init__(self, padded: Callable[[Features], Batch]) -> None:
        self._padded = padded

    def __call__(self, features: Features) -> Batch:
        rows = [(list(row["input_ids"]), list(row["labels"])) for row in features if "labels" in row]
        shared = _shared_tokens(rows) if len(rows) == len(features) else 0
        tokens = shared + sum(len(ids) - shared for ids, _ in rows)
        padded = len(rows) * max((len(ids) for ids, _ in rows), default=0)
        if tokens > MAX_TOKENS or tokens > (1 - MIN_SAVED) * padded:
            return self._padded(features)
        return _share(rows, shared)


def row_tokens(batch: Batch) -> int:
    """How many tokens the rows of a batch have, each counted with its own beginning and without padding."""
    if "position_ids" not in batch:
        return int(batch["attention_mask"].sum())
    positions = batch["position_ids"][0]
    again = positions[1:][positions[1:] <= positions[:-1]]  # where another row begins, behind what it shares
    return int(positions.numel() + again.sum())


def share_prefixes(trainer: Trainer, features: Features) -> bool:
    """Have this trainer share prefixes if its model means the same by them: the losses of these rows must agree.

    Models with other attention, such as a sliding window or a recurrent state, may not.
    """
    padded: Callable[[Features], Batch] = trainer.data_collator
    collator = SharedPrefixCollator(padded)
    batch = collator(features)
    if batch["input_ids"].shape[0] > 1:
        return False
    expected = _loss(trainer, padded(features))
    try:
        found = _loss(trainer, batch)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:  # a model that takes no such mask
        logger.info("Rows are not trained with a shared prefix: %s", error)
        return False
    if not abs(found - expected) <= TOLERANCE * abs(expected):
        logger.info("Rows are not trained with a shared prefix: its loss is %.4f instead of %.4f", found, expected)
        return False
    trainer.data_collator = collator
    return True


def _shared_tokens(rows: Sequence[tuple[list[int], list[int]]]) -> int:
    """How many tokens all rows begin with, before the last token of the shortest prompt."""
    if len(rows) < 2:
        return 0
    room = min(_first_label(labels) for _, labels in rows) - 1
    first = rows[0][0]
    count = 0
    while count < room and all(ids[count] == first[count] for ids, _ in rows):
        count += 1
    return count


def _first_label(labels: Sequence[int]) -> int:
    return next((at for at, label in enumerate(labels) if label != IGNORED), len(labels))


def _share(rows: Sequence[tuple[list[int], list[int]]], shared: int) -> Batch:
    ids, labels = rows[0][0][:shared], [IGNORED] * shared
    positions, owners = list(range(shared)), [-1] * shared
    for owner, (row_ids, row_labels) in enumerate(rows):
        ids += row_ids[shared:]
        labels += row_labels[shared:]
        positions += range(shared, len(row_ids))
        owners += [owner] * (len(row_ids) - shared)
    owner_of = torch.tensor(owners)
    may_look = (owner_of[None, :] == owner_of[:, None]) | (owner_of[None, :] == -1)
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": may_look.tril()[None, None],
    }


@torch.no_grad()
def _loss(trainer: Trainer, batch: Batch) -> float:
    """Mean negative log-likelihood of the labels, without dropout."""
    model = trainer.model
    was_training = model.training
    model.eval()
    try:
        given = {name: tensor.to(model.device) for name, tensor in batch.items() if name != "labels"}
        logits = model(**given, use_cache=False).logits[:, :-1].float()
    finally:
        model.train(was_training)
    targets = batch["labels"][:, 1:].to(logits.device)
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED))
