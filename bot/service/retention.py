"""Erases what was said too long ago, once a day. Knows no chat platform, and not who agreed to be remembered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from core.errors import StoreUnavailable
from core.store import data_rights
from core.store.db import Store

FIRST_S = 60.0  # a start has enough to do
DAY_S = 86_400.0
RETRY_S = 3_600.0

logger = logging.getLogger(__name__)


async def keep_erasing(
    store: Store, *, keep_text_days: int, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Erase old text soon and then every day, until cancelled; an hour later where the store is out of order.

    `pause` waits this many seconds.
    """
    await pause(FIRST_S)
    while True:
        pause_s = DAY_S
        try:
            await erase_old_text(store, keep_text_days=keep_text_days)
        except StoreUnavailable as error:
            logger.warning("Old text is not erased yet: %s", error)
            pause_s = RETRY_S
        except Exception:  # the loop's boundary: what breaks one day may work on the next
            logger.exception("Old text is not erased yet")
        await pause(pause_s)


async def erase_old_text(store: Store, *, keep_text_days: int) -> int:
    """Erase text older than this, except where people agreed to its being kept, and say of how many exchanges.

    Raises StoreUnavailable.
    """
    async with store.write() as session:
        erased = await data_rights.purge(session, before=time.time() - keep_text_days * DAY_S)
    if erased:
        logger.info("Erased the text of %d exchanges older than %d days", erased, keep_text_days)
    return erased
