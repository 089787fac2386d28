"""What was counted within the last while. What is older is forgotten, so that it stays small. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class SlidingWindow:
    """Counts by key over the last `length_s` seconds of `clock`, which never goes back."""

    def __init__(self, clock: Callable[[], float], length_s: float) -> None:
        self._clock = clock
        self._length_s = length_s
        self._log: deque[tuple[float, str]] = deque()
        self._times: dict[str, deque[float]] = {}

    def add(self, key: str) -> None:
        now = self._clock()
        self._log.append((now, key))
        self._times.setdefault(key, deque()).append(now)

    def wait_s(self, key: str, limit: int | None, *, count: int = 1) -> float:
        """Seconds until `count` more are within the limit; 0 when they are now. Alone they fit into any limit but 0."""
        if limit:
            limit = max(1, limit - count + 1)
        now = self._clock()
        while self._log and self._log[0][0] <= now - self._length_s:
            _, old = self._log.popleft()
            self._times[old].popleft()
            if not self._times[old]:
                del self._times[old]
        times = self._times.get(key, ())
        if limit is None or len(times) < limit:
            return 0.0
        return times[len(times) - limit] + self._length_s - now if limit else self._length_s
