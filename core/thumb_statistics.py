"""How sure a share of thumbs is: people count, not their zeal. Pure.

Thumbs of one person resemble each other, so a person who gives fifty says less than fifty people. The interval is
Wilson's (https://doi.org/10.1080/01621459.1927.10502953) over the effective number of thumbs: their number over the
design effect (Kish, Survey Sampling, 1965), which is estimated from how people differ (Dean and Pagano, 2015,
https://doi.org/10.1093/jssam/smv024).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Z_95 = 1.959964  # two-sided 95 %
MAX_BINS = 12


@dataclass(frozen=True, slots=True)
class Thumb:
    """One judgement that counts. `given_at` is a unix time in seconds."""

    person: Hashable
    is_up: bool
    given_at: float


@dataclass(frozen=True, slots=True)
class LikedShare:
    """Thumbs up among all, by so many people, with a 95 % interval."""

    up: int
    down: int
    people: int
    low: float
    high: float

    @property
    def count(self) -> int:
        return self.up + self.down

    @property
    def share(self) -> float:
        return self.up / self.count


@dataclass(frozen=True, slots=True)
class Period:
    """The thumbs from `begin` up to `end`, unix times in seconds; `liked` is None where nobody gave one."""

    begin: float
    end: float
    liked: LikedShare | None


def liked_share(thumbs: Iterable[Thumb]) -> LikedShare | None:
    """The share of thumbs up; None without any thumb."""
    people: dict[Hashable, list[int]] = {}
    for thumb in thumbs:
        counts = people.setdefault(thumb.person, [0, 0])
        counts[0] += thumb.is_up
        counts[1] += 1
    return liked_by([(up, total) for up, total in people.values()])


def liked_by(people: Sequence[tuple[int, int]]) -> LikedShare | None:
    """The same from (thumbs up, thumbs) of each person, one thumb at least; None without any person."""
    if not people:
        return None
    up, count = (sum(column) for column in zip(*people, strict=True))
    low, high = wilson(up / count, effective_count(people))
    return LikedShare(up, count - up, len(people), low, high)


def effective_count(people: Sequence[tuple[int, int]]) -> float:
    """How many independent thumbs these are worth. `people`: (thumbs up, thumbs) of each, one thumb at least.

    The design effect never helps. How people differ is known badly where few give most of the thumbs, so it is drawn
    towards the worst case, that everybody always says the same: with one person all thumbs are worth one.
    """
    up, count = sum(one for one, _ in people), sum(total for _, total in people)
    share, number = up / count, len(people)
    most = sum(total * total for _, total in people) / count  # the worst case
    seen = most
    if number > 1 and 0 < up < count:
        spread = sum((one - share * total) ** 2 for one, total in people)
        seen = number / (number - 1) * spread / (share * (1 - share) * count)
    equal = count / most  # as many people, all of one zeal, would be as sure
    return count / max(1.0, ((equal - 1) * seen + most) / equal)


def wilson(share: float, count: float, z: float = Z_95) -> tuple[float, float]:
    """Wilson's interval of a share seen in so many trials, which may be a fraction above 0."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def over_time(thumbs: Sequence[Thumb], begin: float, end: float, bins: int = MAX_BINS) -> list[Period]:
    """The same share in `bins` periods of one length between two unix times in seconds."""
    width = max(end - begin, 1.0) / bins
    found: Mapping[int, list[Thumb]] = {number: [] for number in range(bins)}
    for thumb in thumbs:
        found[min(bins - 1, max(0, int((thumb.given_at - begin) / width)))].append(thumb)
    return [Period(begin + at * width, begin + (at + 1) * width, liked_share(found[at])) for at in range(bins)]
