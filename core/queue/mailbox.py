"""Items put in at one side and read at the other, within one asyncio loop. Knows nothing of what it carries."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Keeps items until its one reader, an `async for`, takes them; ends when it is closed and empty.

    An `asyncio.Queue` with its `shutdown` would do, but that is new in Python 3.13.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._is_closed = False
        self._changed = asyncio.Event()

    def put(self, item: T, *, instead_of: T | None = None) -> None:
        """Add an item, in place of the newest one if that is `instead_of`, not read yet. A closed mailbox drops it."""
        if self._is_closed:
            return
        if self._items and self._items[-1] is instead_of:
            self._items.pop()
        self._items.append(item)
        self._changed.set()

    def clear(self) -> None:
        """Drop what nobody has read yet."""
        self._items.clear()

    def close(self) -> None:
        """Let the reader take what is there, and end."""
        self._is_closed = True
        self._changed.set()

    def __aiter__(self) -> Mailbox[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._is_closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()
