"""What a crashed step means: which replies fail, which are tried again, and when the engine gives up. No tensors."""

from __future__ import annotations

from collections import deque

from core.engine.scheduler import Sequence

MAX_CRASHES = 5
CRASH_WINDOW_S = 60.0
MAX_CRASHES_OF_A_REPLY = 3


class CrashWatch:
    """Finds the reply that crashes by itself: each reply of a crashed step is tried again, alone.

    One that crashes alone as well fails, and is not held against the engine a second time. Times are in seconds.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MAX_CRASHES)

    def note(self, crashed: list[Sequence], now: float) -> list[Sequence]:
        """Those of a crashed step's replies that fail. The others are suspects from now on."""
        failed = [each for each in crashed if each.is_suspect or each.crashes + 1 == MAX_CRASHES_OF_A_REPLY]
        if not crashed or not all(each.is_suspect for each in crashed):
            self._times.append(now)
        for each in crashed:
            each.crashes += 1
            each.is_suspect = True
        return failed

    def is_hopeless(self, now: float) -> bool:
        """Whether the engine crashed too often lately to go on."""
        return len(self._times) == MAX_CRASHES and now - self._times[0] <= CRASH_WINDOW_S
