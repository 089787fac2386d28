"""Answers wrong keys ever more slowly, and says in the log that somebody tries some. Knows no key."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from starlette.types import Scope

WINDOW_S = 60.0
DELAY_STEP_S = 0.05  # for each wrong key of the last minute
MAX_DELAY_S = 3.0
LOGGED_AGAIN_AFTER_S = 10.0

logger = logging.getLogger(__name__)


class WrongKeys:
    """Counts everybody's wrong keys together, as addresses are cheap. A right key never waits, whoever else guesses.

    `clock` gives seconds that never go back; `sleep` waits on the same clock.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._recent: deque[float] = deque(maxlen=int(MAX_DELAY_S / DELAY_STEP_S))
        self._unlogged = 0
        self._logged_at = -LOGGED_AGAIN_AFTER_S

    async def slow_down(self, scope: Scope) -> None:
        """Note a wrong key, and return when it may be answered."""
        now = self._clock()
        self._recent.append(now)
        while self._recent[0] < now - WINDOW_S:
            self._recent.popleft()
        self._unlogged += 1
        self._log(scope)
        await self._sleep(DELAY_STEP_S * len(self._recent))
        self._log(scope)  # of those that came meanwhile, the last ones tell

    def _log(self, scope: Scope) -> None:
        now = self._clock()
        if not self._unlogged or now - self._logged_at < LOGGED_AGAIN_AFTER_S:
            return
        address = (scope.get("client") or ("an unknown address",))[0]
        logger.warning(
            "%d requests with a wrong API key, the latest from %s; wrong keys are answered slowly now.",
            self._unlogged,
            address,
        )
        self._unlogged, self._logged_at = 0, now
