"""The kinds of checks that the gate is made of: a number, its threshold, and a sentence. Knows no adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from training.gate_statistics import paired_bounds, sign_flip_p

MIN_PROMPTS = 12  # fewer say nothing that a bootstrap could tell from chance
ROUNDED = 4
Form = Literal["%", "x", "n"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict. `value` must be at most or at least `limit`; `is_met` is None where nothing was asked.

    `champion` is what the champion reaches (or the base model, where it is compared with that); `interval` holds the
    one-sided bounds of `value`, `p_value` how probable it is by chance alone.
    """

    key: str
    text: str
    count: int
    value: float | None
    champion: float | None
    limit: float | None
    is_at_most: bool
    interval: tuple[float, float] | None
    is_met: bool | None
    sentence: str
    p_value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON gives it back, so that a verdict that was kept equals one that is made again."""
        return asdict(self) | {"interval": None if self.interval is None else list(self.interval)}


def unmeasured(key: str, text: str, why: str) -> Check:
    return Check(key, text, 0, None, None, None, False, None, None, f"{_capital(text)}: not judged, {why}.")


def at_most(
    key: str,
    text: str,
    count: int,
    value: float,
    limit: float,
    *,
    interval: tuple[float, float] | None = None,
    form: Form = "%",
) -> Check:
    return _bounded(key, text, count, value, limit, True, interval, form)


def at_least(key: str, text: str, count: int, value: float, limit: float, *, form: Form = "%") -> Check:
    return _bounded(key, text, count, value, limit, False, None, form)


def not_worse(
    key: str,
    text: str,
    before: Sequence[float],
    after: Sequence[float],
    margin: float,
    confidence: float,
    *,
    is_bad: bool = False,
    of: str = "champion",
) -> Check:
    """Over the same prompts, the loss against `before` stays below the margin even at its one-sided bound.

    `is_bad`: the values count what is unwanted, so a rise is the loss.
    """
    if len(after) < MIN_PROMPTS or len(before) != len(after):
        return unmeasured(key, text, f"over {len(after)} prompts, where {MIN_PROMPTS} are needed")
    bounds = paired_bounds(after, before, confidence) if not is_bad else paired_bounds(before, after, confidence)
    is_met = bounds.high <= margin
    now, was = float(np.mean(after)), float(np.mean(before))
    sentence = (
        f"{_capital(text)}: {now:.1%} of {len(after)} prompts, the {of}'s {was:.1%}; the loss is at most"
        f" {max(bounds.high, 0.0):.1%} with {confidence:.0%} confidence, and may be {margin:.1%}."
    )
    loss, interval = round(bounds.mean, ROUNDED), (bounds.low, bounds.high)
    text = f"{text}, loss against the {of}"
    return Check(key, text, len(after), loss, round(was, ROUNDED), margin, True, interval, is_met, sentence)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a habit moved; whether that is too far is known once all the habits' p-values are."""

    key: str
    text: str
    count: int
    champion: float
    now: float
    effect: float
    limit: float
    p_value: float

    def check(self, p_value: float, alpha: float) -> Check:
        """The check with its corrected p-value: refused is what is too large and not by chance."""
        is_met = self.effect <= self.limit or p_value >= alpha
        sentence = (
            f"{_capital(self.text)}: {self.effect:.2f}, allowed {self.limit:.2f} (from {self.champion:.2f} to"
            f" {self.now:.2f} over {self.count} replies, p = {p_value:.3f} after Holm)."
        )
        return Check(
            self.key,
            self.text,
            self.count,
            round(self.effect, ROUNDED),
            round(self.champion, ROUNDED),
            self.limit,
            True,
            None,
            is_met,
            sentence,
            p_value,
        )


def drift(
    key: str,
    text: str,
    before: Sequence[float],
    after: Sequence[float],
    limit: float,
    effect: Callable[[float, float], float],
    *,
    is_two_sided: bool,
) -> Drift | None:
    """How far the mean moved from `before` to `after`, over the same prompts; None where there are too few."""
    if len(after) < MIN_PROMPTS or len(before) != len(after):
        return None
    was, now = float(np.mean(before)), float(np.mean(after))
    p_value = sign_flip_p(before, after)
    if is_two_sided:
        p_value = min(1.0, 2 * min(p_value, sign_flip_p(after, before)))
    return Drift(key, text, len(after), was, now, effect(was, now), limit, p_value)


def _bounded(
    key: str,
    text: str,
    count: int,
    value: float,
    limit: float,
    is_at_most: bool,
    interval: tuple[float, float] | None,
    form: Form,
) -> Check:
    is_met = value <= limit if is_at_most else value >= limit
    bound = "at most" if is_at_most else "at least"
    sentence = f"{_capital(text)}: {_shown(value, form)}, {bound} {_shown(limit, form)} is asked."
    return Check(key, text, count, round(value, ROUNDED), None, limit, is_at_most, interval, is_met, sentence)


def _shown(value: float, form: Form) -> str:
    return {"%": f"{value:.1%}", "x": f"{value:.3f}×", "n": f"{value:.2f}"}[form]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
