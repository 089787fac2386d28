"""What the votes of blind duels between two versions say, however often one looks. Pure: no store, no numpy.

**One person, one voice.** The votes of one person resemble each other, and some people vote all day. So a person's
j-th vote weighs √j - √(j-1): n votes count as √n do, and only the first few of a day count at all.

**The test.** Let S be the weighted sum of votes (1, 0 for a tie, -1). If neither version is better, what a person says
is as likely the other way round, and so is what is said of one pair of answers. The sum of squares of such symmetric
sums, V, then makes exp(λS - λ²V/2) a supermartingale for every λ (de la Peña, "A general class of exponential
inequalities for martingales and ratios", Annals of Probability 1999), and so does its mean over λ ~ N(0, ρ²), which is

    E = (1 + ρ²V)^(-1/2) · exp(ρ²S² / (2 (1 + ρ²V)))

(Robbins, "Statistical methods related to the law of the iterated logarithm", 1970). By Ville's inequality E reaches
1/α with probability α at most, over all times together: one may look after every vote, and stop. V is summed over
people and over duels, less what is counted twice (Cameron, Gelbach and Miller, "Robust inference with multiway
clustering", 2011). For first votes of different people on different duels this is exact. Further votes of the same
people make it an approximation, on the safe side: they agree with the former ones, if anything, which only slows S
down against √V (Slepian's lemma). Tests simulate it. What people agree upon to mislead is an opinion to it, too: one
troll in twenty changes little among some hundred people, and more among many more.

**The interval** of the win rate is a percentile bootstrap over people, for one look.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ALPHA = 0.05
RHO_SQUARED = 0.25  # settles fastest between some ten and some hundred people
PER_PERSON_PER_DAY = 5
DAY_S = 86_400.0
RESAMPLES = 1000
MAX_TIMES_AS_MANY = 64.0  # beyond that no number of votes is foreseen

Score = Literal[-1, 0, 1]


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's vote on one duel: 1 for the second version, -1 for the first, 0 for a tie. `given_at` in unix s."""

    person: str
    duel: str
    score: Score
    given_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the votes that count say of the second version against the first.

    `win_rate` counts a tie as one half, and people as above; `interval` is where it lies with 95 %, None for fewer than
    two people. `evidence` is E, and `winner` is 1 or -1 once it settles the duel. `votes_needed` are about so many more
    votes, by `people_needed` more people, if they vote as those did until now; None where no end is in sight.
    """

    votes: int = 0
    duels: int = 0
    people: int = 0
    not_counted: int = 0
    win_rate: float | None = None
    interval: tuple[float, float] | None = None
    evidence: float = 1.0
    winner: Score = 0
    votes_needed: int | None = None
    people_needed: int | None = None


@dataclass(slots=True)
class _Voice:
    """What one person said: weighted votes, and the weights."""

    votes: int = 0
    total: float = 0.0
    weight: float = 0.0


def standing(votes: Iterable[Vote]) -> Standing:
    """Where two versions stand."""
    given = sorted(votes, key=lambda vote: (vote.given_at, vote.person, vote.duel))
    counted = _within_a_day(given)
    if not counted:
        return Standing(not_counted=len(given))
    voices: defaultdict[str, _Voice] = defaultdict(_Voice)
    duels: defaultdict[str, float] = defaultdict(float)
    counted_twice = 0.0
    for vote in counted:
        voice = voices[vote.person]
        weight = math.sqrt(voice.votes + 1) - math.sqrt(voice.votes)
        voice.votes += 1
        voice.total += weight * vote.score
        voice.weight += weight
        duels[vote.duel] += weight * vote.score
        counted_twice += (weight * vote.score) ** 2
    people = list(voices.values())
    by_person, by_duel = sum(one.total**2 for one in people), sum(total**2 for total in duels.values())
    difference, spread = sum(one.total for one in people), max(by_person, by_duel, by_person + by_duel - counted_twice)
    log_evidence = _log_evidence(difference, spread)
    is_settled = log_evidence >= math.log(1 / ALPHA)
    times = None if is_settled else _times_as_many(difference, spread)
    return Standing(
        votes=len(counted),
        duels=len(duels),
        people=len(people),
        not_counted=len(given) - len(counted),
        win_rate=_win_rate(people),
        interval=_interval(people),
        evidence=math.exp(min(log_evidence, 700.0)),
        winner=0 if not is_settled else 1 if difference > 0 else -1,
        votes_needed=0 if is_settled else None if times is None else math.ceil((times - 1) * len(counted)),
        people_needed=0 if is_settled else None if times is None else math.ceil((times - 1) * len(people)),
    )


def _within_a_day(votes: Sequence[Vote]) -> list[Vote]:
    """The votes without those that a person gave after the first few of a day (UTC). The oldest come first."""
    days: Counter[tuple[str, int]] = Counter()
    counted = []
    for vote in votes:
        day = (vote.person, int(vote.given_at // DAY_S))
        days[day] += 1
        if days[day] <= PER_PERSON_PER_DAY:
            counted.append(vote)
    return counted


def _log_evidence(difference: float, spread: float) -> float:
    """The logarithm of E for S and V."""
    scaled = RHO_SQUARED * spread
    return RHO_SQUARED * difference**2 / (2 * (1 + scaled)) - math.log1p(scaled) / 2


def _times_as_many(difference: float, spread: float) -> float | None:
    """How many times as many people, who vote as those did until now, settle it; None for more than are foreseen."""
    few, many = 1.0, MAX_TIMES_AS_MANY
    if _log_evidence(many * difference, many * spread) < math.log(1 / ALPHA):
        return None
    for _ in range(40):
        middle = (few + many) / 2
        if _log_evidence(middle * difference, middle * spread) < math.log(1 / ALPHA):
            few = middle
        else:
            many = middle
    return many


def _win_rate(people: Sequence[_Voice]) -> float:
    return (1 + sum(one.total for one in people) / sum(one.weight for one in people)) / 2


def _interval(people: Sequence[_Voice]) -> tuple[float, float] | None:
    """The middle 95 % of the win rates of people drawn anew, with replacement; the same for the same votes."""
    if len(people) < 2:
        return None
    draw = random.Random(0)
    rates = sorted(_win_rate(draw.choices(people, k=len(people))) for _ in range(RESAMPLES))
    tail = round(RESAMPLES * ALPHA / 2)
    return rates[tail], rates[-1 - tail]
