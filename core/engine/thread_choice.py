"""How many threads a step should use: tried on real steps, and tried again when steps become slow. Knows no torch.

More threads are not always faster: small products gain nothing, and where another program takes one of two cores, the
threads wait for each other at the end of every operator. So steps of a size take turns with every number, until the
fastest is known.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

# An operator's own word in any of these is final.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
TRIAL_STEPS = 5
# A number that takes so many times as long in two steps is not tried further, or so many times as long in its first.
HOPELESS = 2.0
HOPELESS_AT_ONCE = 4.0
# More threads must be faster by this factor, because they take cores from others.
MIN_GAIN = 1.05
# The latest steps, and how many times as slow as expected they must be for a new trial.
WINDOW_STEPS = 8
SLOW = 1.5
# A trial comes again after so many steps, because only a trial shows that a neighbour has left. Each that changes
# nothing doubles the time to the next.
FIRST_PAUSE_STEPS = 200
LONGEST_PAUSE_STEPS = 6_400


class ThreadChoice:
    """The number of threads for steps of every size, from 1 to `most`. Steps of 1, 2-3, 4-7, ... tokens are alike."""

    def __init__(self, most: int) -> None:
        self._counts = _halvings(most)
        self._sizes: dict[int, _Size] = {}

    def threads_for(self, tokens: int) -> int:
        """How many threads the next step, of this many tokens, should use."""
        return self._size(tokens).next_count()

    def note(self, tokens: int, seconds: float) -> None:
        """Tell how long that step took."""
        self._size(tokens).note(seconds)

    def _size(self, tokens: int) -> _Size:
        bits = tokens.bit_length()
        if bits not in self._sizes:
            settled = {other: size.chosen for other, size in self._sizes.items() if size.chosen is not None}
            nearest = min(settled, key=lambda other: abs(other - bits), default=None)
            self._sizes[bits] = _Size(self._counts, self._counts[-1] if nearest is None else settled[nearest])
        return self._sizes[bits]


@dataclass
class _Size:
    """Steps of one size: a trial of the counts from `first` on, or the steps since one count was chosen."""

    counts: tuple[int, ...]
    first: int
    trial: dict[int, list[float]] = field(default_factory=dict)
    chosen: int | None = None
    expected_s: float = 0.0
    recent_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW_STEPS))
    steps: int = 0
    pause_steps: int = FIRST_PAUSE_STEPS
    is_in_trial: bool = True

    def __post_init__(self) -> None:
        self.trial = {count: [] for count in self.counts}

    def next_count(self) -> int:
        if self.is_in_trial:
            return min(self._wanted(), key=lambda count: len(self.trial[count]))
        assert self.chosen is not None  # noqa: S101  # a trial has ended
        return self.chosen

    def note(self, seconds: float) -> None:
        if not self.is_in_trial:
            self._watch(seconds)
            return
        self.trial[self.next_count()].append(seconds)
        if not self._wanted():
            self._choose()

    def _wanted(self) -> list[int]:
        """The counts that need more steps: first one, then fewer and more as far as they may still be faster."""
        known = {count: min(times[:2]) for count, times in self.trial.items() if len(times) >= 2}
        if self.first not in known:
            return [self.first]
        best = min(known, key=known.__getitem__)
        limits = {count: HOPELESS if count in known else HOPELESS_AT_ONCE for count in self.counts}
        hopeless = {n for n, times in self.trial.items() if times and min(times[:2]) > limits[n] * known[best]}
        wanted = [self.first]
        fewer = [count for count in reversed(self.counts) if count < self.first]
        more = [count for count in self.counts if count > self.first]
        for direction in (fewer, more):
            for count in direction:
                if count in hopeless:
                    break  # still fewer, or still more, would take longer yet, and on many cores very long
                wanted.append(count)
                if count not in known:
                    break
        return [n for n in wanted if n not in hopeless and len(self.trial[n]) < TRIAL_STEPS]

    def _choose(self) -> None:
        before, self.chosen = self.chosen, fastest_count({n: statistics.median(t) for n, t in self.trial.items() if t})
        is_same = self.chosen == before
        self.pause_steps = min(2 * self.pause_steps, LONGEST_PAUSE_STEPS) if is_same else FIRST_PAUSE_STEPS
        self.expected_s = statistics.median(self.trial[self.chosen])
        self.is_in_trial = False
        self.steps = 0
        self.recent_s.clear()

    def _watch(self, seconds: float) -> None:
        self.steps += 1
        self.recent_s.append(seconds)
        is_slow = len(self.recent_s) == WINDOW_STEPS and statistics.median(self.recent_s) > SLOW * self.expected_s
        if len(self.counts) > 1 and (is_slow or self.steps >= self.pause_steps):
            self.trial = {count: [] for count in self.counts}
            self.first = self.chosen or self.first
            self.is_in_trial = True


def fastest_count(seconds: Mapping[int, float]) -> int:
    """The count of threads to choose, given the seconds of a step with each: the fewest that are about the fastest."""
    best = min(seconds.values())
    return min(count for count, each in seconds.items() if each <= MIN_GAIN * best)


def _halvings(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `most`."""
    counts = {most}
    while (most := most // 2) >= 1:
        counts.add(most)
    return tuple(sorted(counts))


def is_left_to_us(environment: Mapping[str, str]) -> bool:
    """Whether the operator has said nothing about threads."""
    return not any(environment.get(name) for name in THREAD_VARIABLES)
