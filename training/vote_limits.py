"""How much one person may count: in a short time, in a day, and in a whole set. Knows times and people, no texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from training.feedback_policy import DAY_S

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """One thing that a person did at once: a thumb, a pick among several replies, a better answer."""

    given_at: float
    user_id: str
    about: str


def find_bursts(acts: Iterable[Act], *, size: int, window_s: float) -> frozenset[Act]:
    """Every act that lies in some window of `window_s` seconds with more than `size` acts of the same person."""
    found: set[Act] = set()
    for own in _by_person(acts).values():
        start = 0
        for end, act in enumerate(own):
            while act.given_at - own[start].given_at > window_s:
                start += 1
            if end - start + 1 > size:
                found.update(own[start : end + 1])
    return frozenset(found)


def find_above_daily(acts: Iterable[Act], *, per_day: int) -> frozenset[Act]:
    """The acts of each person after the first `per_day` of a day (UTC)."""
    found: set[Act] = set()
    for own in _by_person(acts).values():
        days: Counter[int] = Counter()
        for act in own:
            day = int(act.given_at // DAY_S)
            days[day] += 1
            if days[day] > per_day:
                found.add(act)
    return frozenset(found)


def person_limit(amounts: Mapping[K, float], *, max_share: float) -> float:
    """The most that one person may have, so that nobody has more than `max_share` of what is left of all.

    Where so few people cannot keep within it, the share is twice an even one: with two, or one, nobody is limited.
    """
    if not amounts:
        return 0.0
    share = max(max_share, 2 / len(amounts))
    ordered = sorted(amounts.values(), reverse=True)
    total = sum(ordered)
    # With the j largest cut to the limit c: c = share (j c + rest), for the smallest j that leaves nobody else above c.
    for cut, largest in enumerate(ordered):
        limit = share * total / (1 - share * cut) if share * cut < 1 else float("inf")
        if largest <= limit:
            return limit if cut else max(limit, largest)
        total -= largest
    return ordered[-1]


def _by_person(acts: Iterable[Act]) -> dict[str, list[Act]]:
    people: dict[str, list[Act]] = defaultdict(list)
    for act in sorted(set(acts)):
        people[act.user_id].append(act)
    return people
