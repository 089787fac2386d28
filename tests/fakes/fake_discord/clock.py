"""What time it is at the fake, and ids that rise with it. Tests move time on; nothing sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DISCORD_EPOCH_MS = 1_420_070_400_000


class Clock:
    """The machine's time, so much earlier as a test wants, and whatever it has added since."""

    def __init__(self, behind_s: float) -> None:
        self._behind = timedelta(seconds=behind_s)
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) - self._behind + self._ahead

    @property
    def added(self) -> timedelta:
        """What tests have added. Deadlines are held against this alone, so that a slow machine misses none."""
        return self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


class Snowflakes:
    """Discord's ids: milliseconds since 2015 in the upper 42 bits. Each is larger than all before it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        milliseconds = int(self._clock.now().timestamp() * 1000) - DISCORD_EPOCH_MS
        self._last = max(self._last + 1, milliseconds << 22)
        return self._last
