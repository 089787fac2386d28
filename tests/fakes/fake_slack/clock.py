"""What time it is at the fake, timestamps that rise with it, and ids. Tests move time on; nothing sleeps."""

from __future__ import annotations

import itertools
import time


class Clock:
    """The machine's time in seconds since 1970, and whatever tests have added to it."""

    def __init__(self) -> None:
        self.added = 0.0
        """What tests have added, in seconds. Deadlines are held against this alone, so a slow machine misses none."""

    def now(self) -> float:
        return time.time() + self.added

    def advance(self, seconds: float) -> None:
        self.added += seconds


class Timestamps:
    """Slack's names of messages, "1700000000.000100": seconds, and a number that makes each larger than all before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> str:
        self._last = max(self._last + 1, int(self._clock.now() * 1_000_000))
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"


class Ids:
    """Ids as Slack writes them: a letter for the kind, then ten capitals and digits."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self, kind: str) -> str:
        return f"{kind}0FAKE{next(self._numbers):05d}"
