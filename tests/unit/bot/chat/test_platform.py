from __future__ import annotations

import pytest

from bot.chat.platform import SamplingOverrides
from core.errors import InvalidInput
from core.generation import SamplingParams


def test_nothing_asked_for_changes_nothing():
    sampling = SamplingParams(temperature=0.3, stop=("x",))
    assert SamplingOverrides().apply(sampling) == sampling


def test_what_is_asked_for_wins_even_when_it_is_zero_or_empty():
    sampling = SamplingParams(temperature=0.3, top_k=5, stop=("x",))
    asked = SamplingOverrides(temperature=0.0, stop=(), seed=0)
    assert asked.apply(sampling) == SamplingParams(temperature=0.0, top_k=5, stop=(), seed=0)


def test_a_value_outside_its_limits_is_refused():
    with pytest.raises(InvalidInput, match="temperature is 9"):
        SamplingOverrides(temperature=9).apply(SamplingParams())
