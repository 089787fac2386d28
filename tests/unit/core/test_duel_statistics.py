"""What votes on duels say: intervals that cover, a test that may be looked at all the time, people who vote all day."""

from __future__ import annotations

import math
import random

import pytest

from core import duel_statistics
from core.duel_statistics import DAY_S, PER_PERSON_PER_DAY, Standing, Vote, standing


def votes(*scores: int, person: str = "", duel: str = "") -> list[Vote]:
    """One vote of one person on one duel each, unless they are named."""
    return [Vote(person or f"p{at}", duel or f"d{at}", score, DAY_S * at) for at, score in enumerate(scores)]


def crowd(draw: random.Random, *, people: int, count: int, preferred: float, trolls: float = 0.0) -> list[Vote]:
    """Votes of people of very unequal zeal, each with a leaning of their own; trolls always like the second one."""
    zeal = [draw.paretovariate(1.2) for _ in range(people)]
    leaning = [preferred + draw.uniform(-0.15, 0.15) for _ in range(people)]
    trolling = set(draw.sample(range(people), round(people * trolls)))
    found = []
    for at, who in enumerate(draw.choices(range(people), weights=zeal, k=count)):
        likes = who in trolling or draw.random() < leaning[who]
        score = 0 if who not in trolling and draw.random() < 0.1 else 1 if likes else -1
        found.append(Vote(f"p{who}", f"d{at}", score, DAY_S * at))
    return found


def first_winner(given: list[Vote], *, every: int) -> int:
    """Who is declared the winner by somebody who looks all the time and stops at the first verdict."""
    for count in range(every, len(given) + 1, every):
        if winner := standing(given[:count]).winner:
            return winner
    return 0


@pytest.fixture
def no_interval(monkeypatch):
    """The bootstrap takes most of the time, and the verdict does not depend on it."""
    monkeypatch.setattr(duel_statistics, "_interval", lambda _people: None)


def test_without_votes_nothing_is_said():
    assert standing([]) == Standing()


def test_a_tie_is_half_a_win():
    found = standing(votes(1, 0, -1, 1))
    assert (found.win_rate, found.votes, found.people, found.duels) == (0.625, 4, 4, 4)
    assert standing(votes(0, 0, 0)).win_rate == 0.5


def test_all_of_a_dozen_people_settle_it_and_nobody_alone_does():
    for at in range(1, 16):
        assert standing(votes(*[1] * at)).winner == (1 if at >= 11 else 0)
    assert standing(votes(*[-1] * 12)).winner == -1
    assert standing(votes(*[1] * 500, person="eager")).winner == 0


def test_one_pair_of_answers_does_not_settle_it_however_many_judge_it():
    assert standing(votes(*[1] * 100, duel="lucky")).winner == 0


def test_who_votes_a_hundred_times_counts_as_ten_people():
    eager = standing(votes(*[1] * 100, person="eager") + votes(*[-1] * 10))
    assert eager.win_rate == pytest.approx(0.5)


def test_only_the_first_few_votes_of_a_day_count():
    flood = [Vote("eager", f"d{at}", 1, 1000.0 + at) for at in range(30)]
    found = standing([*flood, Vote("eager", "next", 1, 1000.0 + DAY_S)])
    assert (found.votes, found.not_counted) == (PER_PERSON_PER_DAY + 1, 30 - PER_PERSON_PER_DAY)


def test_the_order_in_which_votes_are_read_changes_nothing():
    given = crowd(random.Random(3), people=20, count=60, preferred=0.6)
    assert standing(reversed(given)) == standing(given)


def test_as_many_more_people_as_are_said_to_be_needed_settle_it():
    now = standing(votes(*[1, 1, 0, 1, -1] * 4))
    assert now.winner == 0
    assert now.people_needed == now.votes_needed == 27
    assert standing(votes(*[1, 1, 0, 1, -1] * 10)).winner == 1
    assert standing(votes(*[1, 1, 0, 1, -1] * 9)).winner == 0


def test_equals_have_no_end_in_sight_and_what_is_settled_needs_nothing_more():
    assert standing(votes(1, -1, 0, 1, -1)).votes_needed is None
    assert standing(votes(*[1] * 20)).votes_needed == 0


def test_the_interval_covers_the_truth_where_people_vote_unequally_often(monkeypatch):
    monkeypatch.setattr(duel_statistics, "RESAMPLES", 200)
    draw = random.Random(11)
    covered = 0
    for _ in range(100):
        low, high = standing(crowd(draw, people=40, count=120, preferred=0.6)).interval or (math.nan, math.nan)
        covered += low <= 0.6 * 0.9 + 0.05 <= high  # a tenth are ties
    assert covered >= 88


@pytest.mark.parametrize(("people", "trolls"), [(25, 0.0), (80, 0.0), (80, 0.05)])
def test_of_equals_that_are_looked_at_all_the_time_hardly_any_is_called_better(people, trolls, no_interval):
    draw = random.Random(people)
    verdicts = [
        first_winner(crowd(draw, people=people, count=150, preferred=0.5, trolls=trolls), every=10) for _ in range(100)
    ]
    assert sum(map(bool, verdicts)) <= 5


def test_a_better_version_is_found_although_one_in_twenty_is_a_troll(no_interval):
    draw = random.Random(5)
    worse = [first_winner(crowd(draw, people=150, count=400, preferred=0.3, trolls=0.05), every=20) for _ in range(40)]
    assert worse.count(-1) >= 28
    assert worse.count(1) == 0
