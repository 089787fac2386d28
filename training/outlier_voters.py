"""Who votes against everybody else, by evidence that may be looked at as often as one likes. Knows no texts.

Each vote of a person on a reply that others have voted on, too, either agrees with their majority or does not. Somebody
who judges honestly agrees at least half the time. Against that stands that the person agrees with a share p below one
half, every such p alike. The ratio of both likelihoods, with a agreements in n votes, is the e-value

    E = ∫₀^½ 2 p^a (1-p)^(n-a) dp / (½)^n  =  Σ_{k>a} C(n+1, k) / ((n+1) C(n, a))

a beta-binomial with its beta cut off at one half. Vote by vote it is a test supermartingale for everybody who agrees at
least half the time, so by Ville's inequality at most one in 100 of them ever reaches 100, however often somebody looks
(Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", 2023). Nine votes, all against the others,
reach it.

"Against the others" must not be decided by those who vote most: for each person, only votes that are `counted` (within
their day's number, in no burst) make up the majority. And whoever has the most evidence against them goes first, then
everybody else is looked at anew without them, so that three who vote together do not make outsiders of the rest.

What this cannot see: people who always vote alone, and a minority with a taste of its own, which looks the same as
people who vote at random.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's thumb on a reply, or on one of several that nearly equal each other."""

    user_id: str
    reply: Hashable
    label: bool
    is_counted: bool


def evidence(agreed: int, votes: int) -> float:
    """The e-value E of `agreed` votes among `votes` that others voted on, too."""
    term, above = comb(votes + 1, agreed + 1), 0
    for k in range(agreed + 1, votes + 2):
        above += term
        term = term * (votes + 1 - k) // (k + 1)
    whole = (votes + 1) * comb(votes, agreed)
    return float(min(above // whole, 10**300)) if above >= whole << 60 else above / whole


def find_outliers(votes: Collection[Vote], *, min_votes: int, min_evidence: float) -> frozenset[str]:
    """The people whose votes, `min_votes` or more of them comparable, are evidence of at least `min_evidence`."""
    outliers: set[str] = set()
    by_person: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_person[vote.user_id].append(vote)
    margins: Counter[Hashable] = Counter()
    for vote in votes:
        margins[vote.reply] += _counted(vote)
    while True:
        found: list[tuple[float, str]] = []
        for person in by_person.keys() - outliers:
            agreed, compared = _agreement(by_person[person], margins)
            if compared >= min_votes and (value := evidence(agreed, compared)) >= min_evidence:
                found.append((value, person))
        if not found:
            return frozenset(outliers)
        _, worst = max(found)
        outliers.add(worst)
        for vote in by_person[worst]:
            margins[vote.reply] -= _counted(vote)


def _agreement(own: Collection[Vote], margins: Counter[Hashable]) -> tuple[int, int]:
    """How many of a person's votes agree with the majority of the others, among those where there is one."""
    mine: Counter[Hashable] = Counter()
    for vote in own:
        mine[vote.reply] += _counted(vote)
    others = [(vote.label, margins[vote.reply] - mine[vote.reply]) for vote in own]
    compared = [(label, margin) for label, margin in others if margin]
    return sum(label == (margin > 0) for label, margin in compared), len(compared)


def _counted(vote: Vote) -> int:
    if not vote.is_counted:
        return 0
    return 1 if vote.label else -1
