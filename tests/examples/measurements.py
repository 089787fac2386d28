"""Measurements of adapters that nobody trained, for tests of the gate and of the loop around it."""

from __future__ import annotations

from typing import Any

from training.eval_items import Items
from training.measurement import Measurement

ROWS = 40


def ones(share: float, count: int = ROWS) -> tuple[float, ...]:
    """Verdicts of which this share is 1."""
    return tuple(float(at < share * count) for at in range(count))


def measured(name: str = "a", **changes: Any) -> Measurement:
    """A good persona's values; `changes` are values by key."""
    verdicts = (
        "adherence_held_out", "adherence_everyday", "masked_adherence_held_out", "masked_adherence_everyday",
        "drop_the_act", "formats", "identity", "facts", "refusals",
    )  # fmt: skip
    values = dict.fromkeys(verdicts, ones(0.9)) | {
        "flawed": ones(0.05),
        "words": (20.0,) * ROWS,
        "emoji": (0.0,) * ROWS,
        "exclamations": (0.0,) * ROWS,
        "praise": (0.0,) * ROWS,
        "held_out_nll": (30.0,) * ROWS,
        "held_out_tokens": (10.0,) * ROWS,
        "general_nll": (40.0,) * ROWS,
        "general_tokens": (10.0,) * ROWS,
    }
    base = {"facts": ones(0.9), "held_out_nll": (60.0,) * ROWS, "general_nll": (39.0,) * ROWS}
    distinct = changes.pop("distinct", 0.6)
    items = {key: Items(base.get(key, ()), tuple(value)) for key, value in (values | changes).items()}
    return Measurement((name * 64)[:64], items, {"distinct": distinct})
