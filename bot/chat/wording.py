"""What people in a chat are told of an error. Knows no platform."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bot.chat.access import NotAllowed, TooFast
from core.errors import PersonasError, StoreUnavailable

STORE_IS_OUT = "My memory is out of order at the moment, so nothing was changed; try again in a minute."
OUR_MISTAKE = "That did not work because of a mistake in this bot, which is now in its log; try again later."

logger = logging.getLogger(__name__)


def sentence_of(error: PersonasError) -> str:
    """The store's own sentence names files of the server, so it goes to the log."""
    if isinstance(error, StoreUnavailable):
        logger.warning("%s", error)
        return STORE_IS_OUT
    return str(error)


def is_silent(error: PersonasError) -> bool:
    """Whether it is better to tell the person nothing of this error."""
    return isinstance(error, TooFast | NotAllowed) and error.is_silent


@asynccontextmanager
async def failures_told(tell: Callable[[str], Awaitable[object]], what: str) -> AsyncIterator[None]:
    """Around what somebody asked for, which is named in the log: they are told in a sentence why it failed."""
    try:
        yield
    except PersonasError as error:
        if not is_silent(error):
            await tell(sentence_of(error))
    except Exception:  # the boundary of an act: a mistake in one leaves the others alone
        logger.exception("%s failed", what)
        await tell(OUR_MISTAKE)
