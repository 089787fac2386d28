"""A platform called: asked again while it or the network is out of order. Knows no SDK."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bot.chat.platform import ScreenUnreachable

RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
MAX_WAIT_S = 60.0  # at once, whatever a platform asks for; `Mending` comes back later

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Passing:
    """The platform may well say something else later, `retry_after_s` from now at the earliest where it says so."""

    why: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Calls:
    """How one platform, `name`, is called.

    `outages` is what its SDK raises, and `judge` reads it: as an error of ours, or as one that passes.
    """

    name: str
    outages: tuple[type[BaseException], ...]
    judge: Callable[[BaseException], Passing | Exception]

    async def attempt(
        self, call: Callable[[], Awaitable[T]], *, find_done: Callable[[], Awaitable[T | None]] | None = None
    ) -> T:
        """Ask for something again and again while the platform is out of order; rate limits are waited out.

        What must not be done twice is looked for before it is asked again: `find_done` returns it where it was done and
        only the answer was lost, else None. Raises what `judge` returns, and ScreenUnreachable when it stays so.
        """
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return await call()
            except self.outages as error:
                judged = self.judge(error)
                if isinstance(judged, Exception):
                    raise judged from error
                if delay_s is None:
                    raise ScreenUnreachable(f"{self.name} does not answer; try again later.") from error
            wait_s = max(delay_s, min(judged.retry_after_s, MAX_WAIT_S))
            logger.info("%s does not answer (%s); asked again in %g s", self.name, judged.why, wait_s)
            await asyncio.sleep(wait_s)
            if find_done is not None and (done := await find_done()) is not None:
                return done
        raise AssertionError  # the last round returns or raises
