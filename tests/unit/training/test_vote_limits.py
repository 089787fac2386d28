"""How much one person may count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.feedback_policy import DAY_S
from training.vote_limits import Act, find_above_daily, find_bursts, person_limit


def acts(*times: float, user_id: str = "ann") -> list[Act]:
    return [Act(at, user_id, str(number)) for number, at in enumerate(times)]


def test_more_acts_than_a_burst_allows_within_its_window_are_all_in_it():
    slow, quick = acts(0, 700, 1400), acts(2000, 2001, 2599, 2600, user_id="bob")
    assert find_bursts([*slow, *quick], size=3, window_s=600) == set(quick)
    assert find_bursts(quick, size=4, window_s=600) == frozenset()
    assert find_bursts(acts(0, 300, 601, 900), size=2, window_s=600) == set(acts(0, 300, 601, 900)[1:])


def test_the_first_of_a_day_count_and_the_next_day_begins_anew():
    own = acts(1, 2, 3, DAY_S + 1, DAY_S + 2, DAY_S + 3)
    assert find_above_daily(reversed(own), per_day=2) == {own[2], own[5]}
    assert find_above_daily([*own, *acts(1, 2, user_id="bob")], per_day=3) == frozenset()


def test_one_or_two_people_are_not_limited():
    assert person_limit({"ann": 100}, max_share=0.05) >= 100
    assert person_limit({"ann": 100, "bob": 1}, max_share=0.05) >= 100
    assert person_limit({}, max_share=0.05) == 0


def test_one_of_many_is_limited_to_the_share():
    amounts = {f"p{n}": 1.0 for n in range(99)} | {"troll": 500.0}
    limit = person_limit(amounts, max_share=0.05)
    assert limit == pytest.approx(0.05 * (99 + limit))


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=60), st.floats(0.01, 1))
def test_nobody_has_more_than_the_share_of_what_is_left(amounts, max_share):
    people = dict(enumerate(amounts))
    limit = person_limit(people, max_share=max_share)
    left = [min(amount, limit) for amount in amounts]
    assert limit > 0
    assert max(left) <= max(max_share, 2 / len(left)) * sum(left) * (1 + 1e-9)
    if max(amounts) <= max(max_share, 2 / len(amounts)) * sum(amounts):
        assert left == amounts
