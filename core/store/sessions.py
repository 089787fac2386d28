"""Sessions whose statements are never cut short, and the door that hands them out, each for one transaction.

A task may be cancelled at any `await`. Were that the one for a statement, SQLAlchemy would throw its connection away
while the driver's thread still works on it, and SQLite's lock would stay with it. So every statement runs in a task of
its own, to its end; the cancellation reaches the body after it, and then rolls back a connection that is whole.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from core.errors import StoreUnavailable
from core.store.health import StoreHealth
from core.store.outages import name_of, outages_as_sentences

T = TypeVar("T")

TURN_TIMEOUT_S = 30.0


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await what must not be cut short. A task that is cancelled meanwhile, however often, waits for its end."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report it as lost
    raise cancelled


class UncutSession(AsyncSession):
    """An AsyncSession each of whose calls runs to its end, also when the task that waits for it is cancelled."""


def _uncut(call: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Awaitable[T]]:
    @wraps(call)
    async def run(*args: Any, **kwargs: Any) -> T:
        return await to_the_end(call(*args, **kwargs))

    return run


for _name, _call in vars(AsyncSession).items():
    if inspect.iscoroutinefunction(_call):
        setattr(UncutSession, _name, _uncut(_call))


class Door:
    """Lets `count` transactions through at once, one for each of the `turns`, in the order in which they came."""

    def __init__(
        self, engine: AsyncEngine, turns: asyncio.Semaphore, count: int, *, is_reading: bool, health: StoreHealth
    ) -> None:
        self._engine = engine
        self._health = health
        self._turns = turns
        self._count = count
        self._is_closed = False
        self._is_reading = is_reading
        self._sessions = async_sessionmaker(engine, class_=UncutSession, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Committed at the end, rolled back when the body raises or is cancelled. Raises StoreUnavailable."""
        await self._wait_for_turn()
        if self._is_closed:  # a connection that is opened now would never be closed
            self._turns.release()
            raise StoreUnavailable(
                f"The database {name_of(self._engine.url)} is closed already; start the program again."
            )
        try:
            with outages_as_sentences(self._engine.url, is_reading=self._is_reading):
                session = self._sessions()
                try:
                    await session.connection()  # begins, and waits here for other processes
                    yield session
                    await session.commit()
                    self._health.note_success(is_reading=self._is_reading)
                finally:
                    await session.close()
        except StoreUnavailable as error:
            self._health.note_failure(error, is_reading=self._is_reading)
            raise
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Let running transactions end, open no more, and close the connections."""
        self._is_closed = True
        await to_the_end(self._close())

    async def _close(self) -> None:
        for _ in range(self._count):
            await self._turns.acquire()
        try:
            await self._engine.dispose()
        finally:
            for _ in range(self._count):
                self._turns.release()

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(
                f"The database {name_of(self._engine.url)} is too busy; try again in a minute."
            ) from error
