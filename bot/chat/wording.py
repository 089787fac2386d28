"""What people in a chat are told of an error. Knows no platform."""

from __future__ import annotations

import logging

from bot.chat.access import NotAllowed, TooFast
from core.errors import PersonasError, StoreUnavailable

STORE_IS_OUT = "My memory is out of order at the moment, so nothing was changed; try again in a minute."

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
