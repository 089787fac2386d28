"""A small chart of thumbs over time, as numbers for an SVG of WIDTH by HEIGHT. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.chat.adapter_cards import liked_text
from core.thumb_statistics import Period

WIDTH, HEIGHT, MARGIN = 320, 88, 8
GUTTER = 38  # at the left, for what the lines mean


@dataclass(frozen=True, slots=True)
class Mark:
    """A share and its interval: `x`, and `y` from the top, `low` being the interval's lower end."""

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Marks from left to right, the days at both ends, and the chart in words."""

    marks: tuple[Mark, ...]
    begin: str
    end: str
    label: str


def draw(periods: Sequence[Period]) -> Chart | None:
    """The chart of these periods; None where nobody gave a thumb in any."""
    width = (WIDTH - GUTTER - MARGIN) / max(1, len(periods))
    marks = [
        Mark(
            round(GUTTER + (at + 0.5) * width, 1),
            _height(period.liked.share),
            _height(period.liked.low),
            _height(period.liked.high),
            f"{day(period.begin)} to {day(period.end)}: {liked_text(period.liked)}",
        )
        for at, period in enumerate(periods)
        if period.liked is not None
    ]
    if not marks:
        return None
    label = f"Share of thumbs up over time. {'. '.join(mark.title for mark in marks)}."
    return Chart(tuple(marks), day(periods[0].begin), day(periods[-1].end), label)


def day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d")


def _height(share: float) -> float:
    return round(MARGIN + (1 - share) * (HEIGHT - 2 * MARGIN), 1)
