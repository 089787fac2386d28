"""A platform's life: connected until it is closed, and closed in good order. Knows no SDK."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from bot.chat.replies import RunningReplies
from core.settings import Settings


class LivePlatform(ABC):
    """What every `bot.chat.platform.ChatPlatform` does alike. `is_ready` is set once the bot is there."""

    def __init__(self, settings: Settings, replies: RunningReplies) -> None:
        self.is_ready = asyncio.Event()
        self._settings = settings
        self._replies = replies
        self._is_closing = False
        self._live: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Stay connected until `close`. Raises PersonasError where waiting does not help: for a bad token or name.

        An outage of the platform or the network is waited out, and a dropped connection opened again.
        """
        self._live = asyncio.create_task(self._stay_connected())
        try:
            await self._live
        except asyncio.CancelledError:
            if not self._is_closing:
                raise

    async def close(self) -> None:
        """Let running replies end within the drain time, tell the people who ask meanwhile, and leave.

        Cancelled, it leaves at once.
        """
        try:
            await self._replies.drain(self._settings.drain_timeout_s)
        finally:
            self._is_closing = True
            for task in (self._live, *self._tasks):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError, Exception):  # `run` raises it
                        await task

    @abstractmethod
    async def _stay_connected(self) -> None:
        """Log in, and hear events for as long as that goes."""

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something go on beside it, until `close` at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
