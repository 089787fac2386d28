"""Shares of thumbs with intervals that hold what they say, however unequal people's zeal is."""

from __future__ import annotations

import random

import pytest

from core.thumb_statistics import Thumb, effective_count, liked_share, over_time, wilson


def thumbs(*people: tuple[int, int], at: float = 0.0) -> list[Thumb]:
    """Of each person so many up and down."""
    return [Thumb(who, n < up, at) for who, (up, down) in enumerate(people) for n in range(up + down)]


def test_wilsons_interval_is_the_textbooks():
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1.0, 20)[1] == 1.0


def test_a_thumb_of_each_of_many_people_counts_nearly_whole():
    people = [(1, 1)] * 60 + [(0, 1)] * 40
    assert 95 <= effective_count(people) <= 100
    share = liked_share(thumbs(*[(1, 0)] * 60, *[(0, 1)] * 40))
    assert (share.up, share.down, share.people, share.share) == (60, 40, 100, 0.6)
    assert (share.low, share.high) == pytest.approx(wilson(0.6, 100), abs=0.005)


def test_fifty_thumbs_of_one_person_are_worth_one():
    assert effective_count([(50, 50)]) == 1
    assert effective_count([(25, 50)]) == 1
    assert effective_count([(50, 50), (1, 1)]) < 1.1
    one, fifty = liked_share(thumbs((50, 0))), liked_share(thumbs(*[(1, 0)] * 50))
    assert one.low < 0.25 < 0.9 < fifty.low


def test_no_thumbs_are_no_share():
    assert liked_share([]) is None


def test_the_interval_holds_the_truth_as_often_as_it_says_although_zeal_and_taste_differ():
    chance = random.Random(5)
    held = {"people": 0, "plain": 0}
    rounds = 400
    for _ in range(rounds):
        people = []
        for _ in range(25):
            likes, count = chance.betavariate(1.2, 0.8), min(60, int(chance.paretovariate(0.9)))  # the mean is 0.6
            people.append((sum(chance.random() < likes for _ in range(count)), count))
        up, count = sum(one for one, _ in people), sum(total for _, total in people)
        for name, worth in (("people", effective_count(people)), ("plain", float(count))):
            low, high = wilson(up / count, worth)
            held[name] += low <= 0.6 <= high
    assert held["people"] / rounds >= 0.92
    assert held["plain"] / rounds < 0.75  # so that the clusters matter here


def test_periods_divide_the_time_and_lose_no_thumb():
    given = [*thumbs((2, 0), at=0.0), *thumbs((0, 1), at=55.0), *thumbs((1, 0), at=100.0)]
    periods = over_time(given, 0.0, 100.0, bins=4)
    assert [(period.begin, period.end) for period in periods] == [(0, 25), (25, 50), (50, 75), (75, 100)]
    assert [None if one.liked is None else (one.liked.up, one.liked.down) for one in periods] == [
        (2, 0),
        None,
        (0, 1),
        (1, 0),
    ]
    assert sum(one.liked.count for one in over_time(given, 50.0, 50.0) if one.liked) == 4
