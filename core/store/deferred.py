"""Changes that may wait for company: they ride with the next transaction that writes, and go alone after a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import StoreUnavailable

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 2.0

Change: TypeAlias = Callable[[AsyncSession], Awaitable[object]]


class DeferredChanges:
    """Kept until a transaction that holds them is committed. `transaction` opens one that writes.

    A change must be one that the database cannot refuse and that does no harm twice, for it shares the fate of the
    transaction it rides with. When the process is killed, what waits is lost: hand in only what the next start finds
    out by itself.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        *,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._transaction = transaction
        self._longest_wait_s = longest_wait_s
        self._waiting: list[Change] = []
        self._riding: set[asyncio.Event] = set()  # transactions that have taken changes along and go on
        self._going_alone: asyncio.Task[None] | None = None

    def add(self, change: Change) -> None:
        self._waiting.append(change)
        if self._going_alone is None or self._going_alone.done():
            self._going_alone = asyncio.create_task(self._go_alone())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction that takes along what waits, ahead of what its body writes."""
        taken: list[Change] = []
        has_ended = asyncio.Event()
        try:
            async with self._transaction() as session:
                taken, self._waiting = self._waiting, []
                if taken:
                    self._riding.add(has_ended)
                for change in taken:
                    await change(session)
                yield session
        except BaseException:
            self._waiting[:0] = taken
            raise
        finally:
            self._riding.discard(has_ended)
            has_ended.set()

    async def flush(self) -> None:
        """Return once everything handed in before is written. Raises StoreUnavailable; then it goes on waiting."""
        for has_ended in list(self._riding):
            await has_ended.wait()
        if self._waiting:
            async with self.transaction():
                pass

    async def close(self) -> None:
        """Write what waits, if the database takes it, and end."""
        if self._going_alone is not None:
            self._going_alone.cancel()
            await asyncio.gather(self._going_alone, return_exceptions=True)
        await self._try()

    async def _go_alone(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._longest_wait_s)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.flush()
        except StoreUnavailable as error:
            logger.warning("%d changes that can wait are not written yet: %s", len(self._waiting), error)
