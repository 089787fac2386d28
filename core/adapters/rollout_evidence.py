"""Whether people like a challenger better or worse than the champion, by evidence that may be looked at at any time.

Conversations are dealt to the challenger by chance, with the known probability q, and nobody is told which version
wrote what. So if people like both alike, the product

    x = (a - q) · r / max(q, 1 - q),    a = 1 for a reply of the challenger's, else 0

is 0 on average, where r is what a thumb says beyond what was expected of this person: 1 or 0, less the share of their
former thumbs that point up, which is drawn towards everybody's (two thumbs' worth), doubled and cut off at -1 and 1.
Whoever likes or dislikes everything therefore says next to nothing.

A person is one unit: their first five thumbs count, a fifth each, so that D = x₁/5 + ... + x₅/5 lies between -1 and 1
however often they vote. Against "no better" one bets on every person: the capital

    E = mean over the bets b of  Π over people (1 + b · D)

is, vote by vote, a test martingale where people like both alike: each factor changes by b · x / 5, which is 0 on
average whatever went before. Ville's inequality then says that it reaches 20 with a probability of at most 1/20,
however often somebody looks (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2024;
Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", 2023). "No worse" is the same with -D. The
mean over several bets takes the place of knowing the best one.

Not covered: people with lasting tastes, half of whom love the challenger and half of whom hate it, are no exact
martingale once they vote again; simulated (`benchmarks/rollouts.py`), they are well within the bound. People who
somehow know which version wrote a reply can vote for one of them; no statistics tell them from its friends.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from core.thumb_statistics import LikedShare, liked_by

COUNTED_PER_PERSON = 5
PRIOR_VOTES = 2.0  # how many thumbs of their own weigh as much as everybody's
BETS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
PRIOR_STEPS = 60  # after so many thumbs, what was seen weighs as much as the plan
PLANNED_GAIN = 0.2  # in the mean of 2r · 2(a - q) while little is known: the challenger is preferred in 60 % of cases


@dataclass(frozen=True, slots=True)
class CanaryVote:
    """A thumb on a reply in a conversation that was dealt to one of both versions."""

    user_id: str
    is_challenger: bool
    label: bool


@dataclass(frozen=True)
class Evidence:
    """What the thumbs say so far. `scores` are the people's D; `challenger` and `champion` are (up, down) of the thumbs
    that count, and `challenger_liked` and `champion_liked` the same with their intervals, None without a thumb."""

    scores: tuple[float, ...] = ()
    challenger: tuple[int, int] = (0, 0)
    champion: tuple[int, int] = (0, 0)
    challenger_liked: LikedShare | None = None
    champion_liked: LikedShare | None = None

    @property
    def people(self) -> int:
        return len(self.scores)

    @property
    def votes(self) -> int:
        return sum(self.challenger) + sum(self.champion)

    @cached_property
    def better(self) -> float:
        """The e-value against "the challenger is no better", from 0 up; 1 says nothing."""
        return capital(self.scores)

    @cached_property
    def worse(self) -> float:
        """The e-value against "the challenger is no worse"."""
        return capital([-score for score in self.scores])

    def votes_needed(self, level: float, share: float, most: int) -> int:
        """About how many more thumbs that count reach `level` one way or the other, `most` in all.

        Goes on as it went so far, and of the first thumbs as if the challenger were preferred in 60 % of cases.
        """
        left = max(0, most - self.votes)
        planned = PLANNED_GAIN**2 / 2 * (4 * share * (1 - share))
        gained = max(math.log(max(value, 1e-300)) for value in (self.better, self.worse))
        votes = self.votes
        rate = (max(0.0, gained) + planned * PRIOR_STEPS) / (votes + PRIOR_STEPS)
        needed = math.ceil((math.log(level) - max(0.0, gained)) / rate) if rate > 0 else left
        return max(0, min(left, needed))


def weigh(votes: Iterable[CanaryVote], share: float) -> Evidence:
    """The evidence of these thumbs, in the order in which their replies were asked for.

    `share` is the probability with which a conversation was dealt to the challenger.
    """
    scores: dict[str, float] = {}
    own: dict[str, list[bool]] = defaultdict(list)
    ups, total = 1.0, 2.0
    counted: dict[bool, dict[str, tuple[int, int]]] = {True: {}, False: {}}  # (thumbs up, thumbs) of each person
    for vote in votes:
        former = own[vote.user_id]
        if len(former) < COUNTED_PER_PERSON:
            expected = (PRIOR_VOTES * ups / total + sum(former)) / (PRIOR_VOTES + len(former))
            surprise = min(1.0, max(-1.0, 2 * (vote.label - expected)))
            x = (vote.is_challenger - share) * surprise / max(share, 1 - share)
            scores[vote.user_id] = scores.get(vote.user_id, 0.0) + x / COUNTED_PER_PERSON
            former.append(vote.label)
            liked, given = counted[vote.is_challenger].get(vote.user_id, (0, 0))
            counted[vote.is_challenger][vote.user_id] = (liked + vote.label, given + 1)
            ups, total = ups + vote.label, total + 1
    challenger, champion = (liked_by(list(counted[side].values())) for side in (True, False))
    return Evidence(tuple(scores.values()), _up_down(challenger), _up_down(champion), challenger, champion)


def _up_down(liked: LikedShare | None) -> tuple[int, int]:
    return (liked.up, liked.down) if liked else (0, 0)


def capital(scores: Sequence[float]) -> float:
    """The mean over the bets of Π(1 + b·D); `scores` lie between -1 and 1."""
    return _mean_of_exponentials([sum(math.log1p(bet * score) for score in scores) for bet in BETS])


def failures_evidence(challenger: int, champion: int, share: float) -> float:
    """The e-value against "conversations with the challenger fail no more often".

    The numbers are of conversations in which a reply failed. If both fail alike, each such conversation is the
    challenger's with probability `share`; against that stands every larger probability, on a grid.
    """
    steps = [share + (1 - share) * step / 20 for step in range(1, 20)]
    return _mean_of_exponentials(
        [challenger * math.log(p / share) + champion * math.log((1 - p) / (1 - share)) for p in steps]
    )


def _mean_of_exponentials(logs: Sequence[float]) -> float:
    """As large as a float can be told where it is larger."""
    highest = max(logs)
    return math.exp(min(highest, 700.0)) * sum(math.exp(value - highest) for value in logs) / len(logs)
