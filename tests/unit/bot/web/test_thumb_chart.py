"""A chart of thumbs over time, as numbers."""

from __future__ import annotations

from bot.web.thumb_chart import GUTTER, HEIGHT, MARGIN, WIDTH, draw
from core.thumb_statistics import Thumb, over_time


def test_every_period_with_thumbs_has_a_mark_inside_the_picture():
    given = [Thumb("ann", True, 0.0), Thumb("bo", True, 5.0), Thumb("ann", False, 95.0)]
    chart = draw(over_time(given, 0.0, 100.0, bins=10))
    assert chart is not None
    first, last = chart.marks
    assert (first.y, last.y) == (MARGIN, HEIGHT - MARGIN)
    for mark in chart.marks:
        assert GUTTER < mark.x < WIDTH - MARGIN
        assert MARGIN <= mark.high <= mark.y <= mark.low <= HEIGHT - MARGIN
    assert first.x < last.x
    assert "1970-01-01 to 1970-01-01: 100% liked" in chart.label
    assert "by 2 people" in chart.label
    assert "by 1 person" in chart.label


def test_without_thumbs_there_is_no_chart():
    assert draw(over_time([], 0.0, 100.0)) is None
