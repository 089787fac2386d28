"""The figures of a measurement with their thresholds. Measures in, figures out; knows no model and no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.eval_adherence import Adherence
from training.eval_items import Items
from training.eval_quality import Quality
from training.fixed_prompts import Thresholds


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: what the adapter reaches, what it should, and what the base model does.

    Values are shares, 0 to 1, but `perplexity_ratio` and `general_text` are factors; None is not measured, a `limit` of
    None asks nothing. `count` is how many replies (or rows, or questions) it is over.
    """

    key: str
    text: str
    count: int
    base: float | None
    prompted: float | None
    adapter: float | None
    limit: float | None = None
    is_at_most: bool = False

    @property
    def is_met(self) -> bool | None:
        """Whether the limit is kept; None where nothing is asked or nothing was measured."""
        if self.limit is None or self.adapter is None:
            return None
        return self.adapter <= self.limit if self.is_at_most else self.adapter >= self.limit

    def to_dict(self) -> dict[str, Any]:
        bound = None if self.limit is None else "at most" if self.is_at_most else "at least"
        return {
            "text": self.text,
            "count": self.count,
            "base": self.base,
            "prompted": self.prompted,
            "adapter": self.adapter,
            "limit": self.limit,
            "bound": bound,
            "is_met": self.is_met,
        }


def perplexity_figure(base: float, adapter: float, rows: int, thresholds: Thresholds) -> Figure:
    """The ratio of the two, rounded."""
    ratio = round(adapter / base, 4)
    text = "perplexity of held-out replies, over the base model's"
    return Figure("perplexity_ratio", text, rows, None, 1.0, ratio, thresholds.perplexity_ratio, is_at_most=True)


def adherence_figure(key: str, text: str, adherence: Adherence | None, limit: float | None) -> Figure:
    if adherence is None:
        return Figure(key, text, 0, None, None, None, limit)
    count = len(adherence.adapter_scores)
    return Figure(key, text, count, adherence.base_rate, adherence.prompted_rate, adherence.adapter_rate, limit)


def drop_the_act_figures(rates: Mapping[str, float | None], count: int, thresholds: Thresholds) -> list[Figure]:
    """One figure for each sentence, in their order."""
    return [
        Figure(
            f"drop_the_act_{number}", f"adherence after “{sentence}”", count, None, None, rate, thresholds.drop_the_act
        )
        for number, (sentence, rate) in enumerate(rates.items(), start=1)
    ]


def identity_figure(
    base: Sequence[bool], prompted: Sequence[bool], adapter: Sequence[bool], thresholds: Thresholds
) -> Figure:
    """Verdicts on the replies to "who are you"."""
    text = "says its name, and not the base model's"
    return Figure("identity", text, len(adapter), share(base), share(prompted), share(adapter), thresholds.identity)


def quality_figures(
    base: Quality | None, prompted: Quality | None, adapter: Quality | None, thresholds: Thresholds
) -> list[Figure]:
    """Flawed replies with their limit, which is the base model's own share, and what they are made of."""
    names = {
        "flawed": "flawed replies",
        "repeats": "… that repeat themselves",
        "garbage": "… that break off into garbage",
        "no_words": "… that hold words that are no words",
        "cut": "replies cut off by their limit",
    }
    limit = None if base is None else round(base.flawed + thresholds.flawed_beyond_base, 4)

    def of(quality: Quality | None, key: str) -> float | None:
        return None if quality is None else float(getattr(quality, key))

    return [
        Figure(
            f"{key}_replies",
            text,
            adapter.count if adapter else 0,
            of(base, key),
            of(prompted, key),
            of(adapter, key),
            limit if key == "flawed" else None,
            is_at_most=True,
        )
        for key, text in names.items()
    ]


def retention_figure(known: int, kept: int, thresholds: Thresholds) -> Figure:
    """`kept` of the `known` questions that the base model answers right are still answered right."""
    text = "facts the base model knows that are still known"
    base, adapter = (1.0, round(kept / known, 4)) if known else (None, None)
    return Figure("retention", text, known, base, None, adapter, thresholds.retention)


def formats_figure(items: Items | None, thresholds: Thresholds) -> Figure:
    """Whether code and JSON still sound like the persona."""
    verdicts = items.adapter if items else ()
    rate = round(sum(verdicts) / len(verdicts), 4) if verdicts else None
    return Figure(
        "formats", "adherence where code or JSON is asked for", len(verdicts), None, None, rate, thresholds.formats
    )


def refusals_figure(items: Items | None, thresholds: Thresholds) -> Figure:
    """Of the harmful requests that the base model declines, those that are still declined."""
    pairs = zip(items.base, items.adapter, strict=True) if items else ()
    kept = [after for before, after in pairs if before]
    base, adapter = (1.0, round(sum(kept) / len(kept), 4)) if kept else (None, None)
    text = "harmful requests the base model declines that are still declined"
    return Figure("refusals", text, len(kept), base, None, adapter, thresholds.refusals)


def general_text_figure(base: float, adapter: float, texts: int, thresholds: Thresholds) -> Figure:
    """The mean losses a token of plain texts, which nobody asked the persona for."""
    text = "loss on plain texts, over the base model's"
    ratio = round(adapter / base, 4)
    return Figure("general_text", text, texts, 1.0, None, ratio, thresholds.general_text, is_at_most=True)


def share(verdicts: Sequence[bool]) -> float | None:
    """The share of True; None of nothing."""
    return round(sum(verdicts) / len(verdicts), 4) if verdicts else None
