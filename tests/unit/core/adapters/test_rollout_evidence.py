"""What thumbs say of a challenger: the same evidence whoever looks and however often, and no more from the zealous."""

from __future__ import annotations

import random

import numpy as np
import pytest

from benchmarks.rollouts import TROLL_KINDS, Counts, Scenario, simulate
from core.adapters.rollout_evidence import CanaryVote, capital, failures_evidence, weigh


def votes_of(*people: str, challenger: bool, champion: bool, rounds: int = 1) -> list[CanaryVote]:
    """Everybody judges both versions so many times."""
    return [
        CanaryVote(who, is_challenger, challenger if is_challenger else champion)
        for _ in range(rounds)
        for who in people
        for is_challenger in (True, False)
    ]


def test_nothing_says_nothing():
    evidence = weigh([], 0.5)
    assert (evidence.better, evidence.worse, evidence.votes, evidence.people) == (1, 1, 0, 0)


def test_many_people_who_agree_are_evidence_and_one_who_votes_for_ever_is_not():
    crowd = weigh(votes_of(*map(str, range(20)), challenger=True, champion=False, rounds=2), 0.5)
    assert crowd.better > 1000 and crowd.worse < 0.01
    zealot = weigh(votes_of("one", challenger=True, champion=False, rounds=500), 0.5)
    assert zealot.better < 2
    assert (zealot.votes, zealot.people) == (5, 1)


def test_better_and_worse_are_mirrored():
    liked = weigh(votes_of(*"abcdefgh", challenger=True, champion=False), 0.5)
    disliked = weigh(votes_of(*"abcdefgh", challenger=False, champion=True), 0.5)
    assert liked.better == pytest.approx(disliked.worse, rel=0.3)
    assert liked.challenger == disliked.champion == (8, 0)


def test_who_likes_or_dislikes_everything_says_next_to_nothing():
    for label in (True, False):
        evidence = weigh(votes_of(*map(str, range(50)), challenger=label, champion=label, rounds=2), 0.5)
        assert max(evidence.better, evidence.worse) < 2


def test_the_capital_of_a_fair_game_stays_one_on_average():
    one_in_two = [capital([0.8]), capital([-0.8])]
    assert sum(one_in_two) / 2 == pytest.approx(1)
    assert capital([0.2] * 3000) > 1e100  # and overflows nothing
    assert capital([-1.0] * 3000) == pytest.approx(0)


def test_failures_are_evidence_only_beyond_the_challengers_share():
    assert failures_evidence(0, 0, 0.5) == pytest.approx(1)
    assert failures_evidence(7, 0, 0.5) > 20
    assert failures_evidence(40, 40, 0.5) < 1
    assert failures_evidence(5, 0, 0.1) > 20 > failures_evidence(4, 36, 0.1)


def test_votes_needed_fall_as_evidence_grows_and_never_pass_the_most():
    none = weigh([], 0.5)
    some = weigh(votes_of(*map(str, range(6)), challenger=True, champion=False), 0.5)
    enough = weigh(votes_of(*map(str, range(20)), challenger=True, champion=False, rounds=2), 0.5)
    assert 100 < none.votes_needed(20, 0.5, 600) < 400
    assert 0 < some.votes_needed(20, 0.5, 600) < none.votes_needed(20, 0.5, 600)
    assert enough.votes_needed(20, 0.5, 600) == 0
    assert none.votes_needed(20, 0.5, 50) == 50


def test_the_simulation_weighs_as_the_rollout_does():
    dealt = random.Random(3)
    votes = [
        CanaryVote(str(int(dealt.paretovariate(0.7)) % 40), dealt.random() < 0.3, dealt.random() < 0.6)
        for _ in range(200)
    ]
    evidence = weigh(votes, 0.3)
    state = Counts.of(1)
    for vote in votes:
        one = (np.array([value]) for value in (int(vote.user_id), vote.is_challenger, vote.label))
        state.count(*one, 0.3, np.array([True]))
    assert np.exp(state.logs).mean(axis=2).ravel() == pytest.approx([evidence.better, evidence.worse])


def test_of_120_simulated_rollouts_few_are_decided_wrongly_though_somebody_looks_all_the_time():
    """`python -m benchmarks.rollouts` runs 2,000 of each kind; the figures stand in docs/runs.md."""
    assert simulate(Scenario(0.0, TROLL_KINDS["at random"]), 120, seed=5).promoted <= 0.06
    assert simulate(Scenario(0.2), 120, seed=5).promoted >= 0.85
    worse = simulate(Scenario(-0.2), 120, seed=5)
    assert worse.promoted == 0 and worse.rolled_back == 1 and worse.worse >= 0.85
