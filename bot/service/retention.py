"""Erases what was said too long ago, once a day. Knows no chat platform, and not who agreed to be remembered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from core.errors import PersonasError, StoreUnavailable
from core.store import data_rights
from core.store.db import Store

FIRST_S = 60.0  # a start has enough to do
DAY_S = 86_400.0
RETRY_S = 3_600.0
MAX_GAP_S = 30 * DAY_S  # a clock that is further beyond the newest exchange may be wrong
LATELY_S = 7 * DAY_S  # by when somebody would have noticed a wrong clock, and set it right

logger = logging.getLogger(__name__)


class ClockDoubted(PersonasError):
    """The clock may be wrong, so nothing is erased by it."""


async def keep_erasing(
    store: Store, *, keep_text_days: int, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Erase old text soon and then every day, until cancelled; an hour later where the store is out of order.

    `pause` waits this many seconds. A clock that was right goes on being right while it runs with the one that nobody
    sets, so a service that nobody uses erases all the same.
    """
    await pause(FIRST_S)
    offset_s: float | None = None  # of a clock that was right
    while True:
        pause_s = DAY_S
        try:
            known = None if offset_s is None else offset_s + time.monotonic()
            await erase_old_text(store, keep_text_days=keep_text_days, passed=known)
            offset_s = time.time() - time.monotonic()
        except (StoreUnavailable, ClockDoubted) as error:
            logger.warning("Old text is not erased yet: %s", error)
            pause_s = RETRY_S
        except Exception:  # the loop's boundary: what breaks one day may work on the next
            logger.exception("Old text is not erased yet")
        await pause(pause_s)


async def erase_old_text(
    store: Store, *, keep_text_days: int, passed: float | None = None, is_clock_trusted: bool = False
) -> int:
    """Erase text older than this, except where people agreed to its being kept, and say of how many exchanges.

    `passed` is a unix time that is over for certain. Raises StoreUnavailable, and ClockDoubted when the clock is far
    beyond that and everything the ledger knows of, unless it is trusted: nothing brings back what is erased.
    """
    now = time.time()
    async with store.write() as session:
        if not is_clock_trusted and (passed is None or now - passed > MAX_GAP_S):
            _check_gap(*await data_rights.longest_gap_lately(session, now=now, lately_s=LATELY_S))
        erased = await data_rights.purge(session, before=now - keep_text_days * DAY_S)
    if erased:
        logger.info("Erased the text of %d exchanges older than %d days", erased, keep_text_days)
    return erased


def _check_gap(before: float, after: float) -> None:
    """Raises ClockDoubted when too much time lies between two moments of the ledger."""
    if after - before <= MAX_GAP_S:
        return
    days = round((after - before) / DAY_S)
    raise ClockDoubted(
        f"Nothing happened for {days} days before {_day(after)}, or this machine's clock is wrong, so no text was"
        " erased; set the clock, or if it is right, run `personas data purge --trust-clock`."
    )


def _day(unix_time: float) -> str:
    try:
        return datetime.fromtimestamp(unix_time, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # a clock that is very wrong
        return f"the unix time {unix_time:.0f}"
