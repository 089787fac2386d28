"""What the watches of the registry share: they look every few seconds, and load adapters ahead of their replies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from core.engine.base import Engine
from core.errors import PersonasError, StoreUnavailable
from core.generation import AdapterRef

Pause = Callable[[float], Awaitable[None]]


async def keep_looking(
    look: Callable[[], Awaitable[None]],
    every_s: float,
    logger: logging.Logger,
    *,
    unread: str,
    broken: str,
    pause: Pause = asyncio.sleep,
) -> None:
    """Look, pause for `every_s` seconds, and so on until cancelled.

    `unread` and `broken` are logged where the store cannot be read, and where anything else goes wrong.
    """
    while True:
        try:
            await look()
        except StoreUnavailable:
            logger.debug(unread)  # the store's other users say so loudly
        except Exception:  # the loop's boundary: replies do not depend on it
            logger.exception(broken)
        await pause(every_s)


async def load_ahead(engine: Engine, ref: AdapterRef, logger: logging.Logger) -> None:
    """Spare the first people who meet a version the reading of its files."""
    try:
        await engine.load_adapter(ref)
    except PersonasError as error:  # unusable files, no memory, an engine that stops: replies will say so
        logger.warning("%s is not loaded ahead of its first reply: %s", ref.name, error)
