from __future__ import annotations

import pytest

from core.errors import InvalidInput
from core.generation import AdapterRef, EngineCapabilities, SamplingOverrides, SamplingParams, WeightedAdapter


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


def test_those_that_lie_over_others_win_where_they_ask_for_something():
    lower = SamplingOverrides(temperature=0.3, top_k=5)
    assert SamplingOverrides(top_k=0, seed=1).over(lower) == SamplingOverrides(temperature=0.3, top_k=0, seed=1)


ONE, TWO = (WeightedAdapter(AdapterRef(name, name), weight) for name, weight in (("zen@1", 1.0), ("noir@1", 0.5)))


@pytest.mark.parametrize(
    ("capabilities", "asked", "refused"),
    [
        (EngineCapabilities(), ((ONE, TWO), 7), None),
        (EngineCapabilities(can_blend=False), ((ONE, TWO), None), "blend"),
        (EngineCapabilities(can_blend=False), ((TWO,), 7), None),
        (EngineCapabilities(can_set_strength=False), ((TWO,), None), "strength"),
        (EngineCapabilities(can_set_strength=False), ((ONE,), 7), None),
        (EngineCapabilities(can_seed=False), ((), 7), "seed"),
        (EngineCapabilities(can_seed=False), ((ONE, TWO), None), None),
    ],
)
def test_what_an_engine_cannot_do_is_refused_with_a_sentence_that_says_what(capabilities, asked, refused):
    adapters, seed = asked
    if refused is None:
        capabilities.check(adapters, seed=seed)
        return
    with pytest.raises(InvalidInput, match=rf"^This model .*{refused}.*\.$"):
        capabilities.check(adapters, seed=seed)
