"""The rows of a blend: its personas' rows, merged by their shares, so that it can be measured and trained. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from training.data_files import TrainingRow, spread


def merge_rows(
    weights: Sequence[float], rows: Sequence[Sequence[TrainingRow]], *, without: Collection[TrainingRow] = ()
) -> list[TrainingRow]:
    """As many rows as can be had while each persona has its share of them, and one at least of each.

    A row that stands there twice is taken once. What asks the same as a row of `without` is left out: no question that
    measures the blend may train it.
    """
    asked = {_question(row) for row in without}
    left = [[row for row in of_one if _question(row) not in asked] for of_one in rows]
    share = [weight / sum(weights) for weight in weights]
    total = min((len(of_one) / part for of_one, part in zip(left, share, strict=True) if of_one), default=0)
    chosen = [spread(of_one, max(1, int(total * part + 1e-9))) for of_one, part in zip(left, share, strict=True)]
    merged: Mapping[TrainingRow, None] = dict.fromkeys(row for of_one in chosen for row in of_one)
    return list(merged)


def _question(row: TrainingRow) -> tuple[object, ...]:
    return (row.history, " ".join(row.user_text.lower().split()))
