"""How often one channel's messages may be edited: everybody who writes there takes turns. Knows no chat platform."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class _Ticket:
    """A place in line: final edits first, then who came first."""

    is_hasty: bool
    number: int
    turn: asyncio.Future[None] = field(compare=False)


class EditBudget:
    """At most `edits` turns in any `per_s` seconds, for every reply of one channel together.

    `clock` gives seconds that never go back; `sleep` waits on the same clock.
    """

    def __init__(
        self,
        edits: int,
        per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._edits = edits
        self._per_s = per_s
        self._clock = clock
        self._sleep = sleep
        self._taken: deque[float] = deque(maxlen=edits)  # when the last turns were given
        self._line: list[_Ticket] = []
        self._count = 0
        self._serving: asyncio.Task[None] | None = None

    async def take(self, *, is_final: bool = False) -> None:
        """Wait for a turn. First come, first served, but a final edit goes before all that are not."""
        self._count += 1
        ticket = _Ticket(not is_final, self._count, asyncio.get_running_loop().create_future())
        heapq.heappush(self._line, ticket)
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        await ticket.turn  # cancelled together with the reply that waits; a cancelled ticket costs no turn

    async def _serve(self) -> None:
        """Give turns until nobody waits."""
        try:
            while self._line:
                await self._sleep(self._wait_s())
                self._give_turn()
        finally:
            self._serving = None

    def _give_turn(self) -> None:
        """To the first in line who is still there."""
        while self._line:
            ticket = heapq.heappop(self._line)
            if not ticket.turn.done():
                self._taken.append(self._clock())
                ticket.turn.set_result(None)
                return

    def _wait_s(self) -> float:
        if len(self._taken) < self._edits:
            return 0.0
        return max(0.0, self._taken[0] + self._per_s - self._clock())
