"""Who votes against everybody else is found, and nobody else."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb

import pytest

from training.outlier_voters import Vote, evidence, find_outliers

HONEST, TROLLS, REPLIES = 57, 3, 300


def outliers(votes, min_votes: int = 8, min_evidence: float = 100) -> frozenset[str]:
    return find_outliers(votes, min_votes=min_votes, min_evidence=min_evidence)


@pytest.mark.parametrize(("agreed", "votes", "expected"), [(0, 0, 1), (0, 1, 1.5), (1, 1, 0.5), (0, 9, 102.3)])
def test_the_evidence_is_the_ratio_of_the_likelihoods(agreed, votes, expected):
    assert evidence(agreed, votes) == pytest.approx(expected)


def test_the_evidence_equals_its_integral():
    steps = 20_000
    for agreed, votes in ((3, 10), (0, 20), (15, 20)):
        points = ((step + 0.5) / steps / 2 for step in range(steps))
        integral = sum(2 * p**agreed * (1 - p) ** (votes - agreed) / steps / 2 for p in points)
        assert evidence(agreed, votes) == pytest.approx(integral * 2**votes, rel=1e-5)


def test_the_evidence_does_not_rise_on_average_for_who_agrees_half_the_time():
    """That makes it a test martingale, which may be looked at after every vote."""
    for votes in range(12):
        for agreed in range(votes + 1):
            after = (Fraction(evidence(agreed + 1, votes + 1)) + Fraction(evidence(agreed, votes + 1))) / 2
            assert float(after) == pytest.approx(evidence(agreed, votes))
    assert sum(comb(12, a) * evidence(a, 12) for a in range(13)) / 2**12 == pytest.approx(1)


def test_the_evidence_of_very_many_votes_is_a_number():
    assert evidence(0, 5_000) > 1e200
    assert 0 < evidence(2_500, 5_000) < 1
    assert evidence(5_000, 5_000) >= 0


def crowd(seed: int, tastes: dict[str, float]) -> list[Vote]:
    """Each person votes on ten replies, and agrees with the common taste so often; trolls vote on all, against it."""
    rng = random.Random(seed)
    taste = [rng.random() < 0.6 for _ in range(REPLIES)]
    votes = [
        Vote(person, reply, taste[reply] == (rng.random() < agreement), True)
        for person, agreement in tastes.items()
        for reply in rng.sample(range(REPLIES), 10)
    ]
    for troll in range(TROLLS):
        votes += [Vote(f"troll {troll}", reply, not taste[reply], reply < 5) for reply in range(REPLIES)]
    return votes


@pytest.mark.parametrize("seed", range(3))
def test_trolls_who_vote_together_and_without_limit_are_found_and_nobody_honest(seed):
    votes = crowd(seed, {f"honest {n}": 0.85 for n in range(HONEST)})
    assert outliers(votes) == {f"troll {n}" for n in range(TROLLS)}


def test_nobody_is_judged_by_few_votes_or_by_votes_that_nobody_shares():
    others = [Vote(f"o{n}", reply, True, True) for n in range(3) for reply in range(12)]
    assert outliers([*others, *(Vote("eve", reply, False, True) for reply in range(7))], min_evidence=2) == frozenset()
    assert outliers([*others, *(Vote("eve", reply, False, True) for reply in range(12))]) == {"eve"}
    assert outliers([Vote("eve", reply, False, True) for reply in range(500)]) == frozenset()


def test_who_likes_everything_as_everybody_does_is_no_outlier():
    votes = [Vote(f"o{n}", reply, reply % 4 > 0, True) for n in range(5) for reply in range(80)]
    assert outliers([*votes, *(Vote("ann", reply, True, True) for reply in range(80))]) == frozenset()
    assert outliers([*votes, *(Vote("eve", reply, False, True) for reply in range(80))]) == {"eve"}
