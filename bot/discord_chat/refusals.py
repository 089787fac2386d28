"""What Discord says when it does not do what it was asked for, in the bot's own words. Knows no messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord

from bot.reply_stream import ScreenGone, ScreenRefused, ScreenUnreachable
from core.errors import PersonasError, StoreUnavailable

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
INVALID_WEBHOOK_TOKEN = 50027
INVALID_FORM = 50035
TOO_MANY_WEBHOOKS = 30007
NO_HISTORY = 160002  # a reply needs the right to read the channel's history
REASONS = {
    50001: "The bot cannot see this channel; give it the permission View Channel.",
    50007: "This person takes no direct messages from the bot.",
    50013: "The bot may not do this here; give it the permission that is missing, `personas doctor` says which.",
    50083: "This thread is archived.",
}
STORE_IS_OUT = "My memory is out of order at the moment, so nothing was changed; try again in a minute."
RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0)

T = TypeVar("T")
logger = logging.getLogger(__name__)


def sentence_of(error: PersonasError) -> str:
    """What people in a channel are told. The store's own sentence names files of the server, so it goes to the log."""
    if isinstance(error, StoreUnavailable):
        logger.warning("%s", error)
        return STORE_IS_OUT
    return str(error)


class WayLost(Exception):
    """An interaction's token or a webhook has come to its end; what it has sent stays."""


async def attempt(call: Callable[[], Awaitable[T]]) -> T:
    """Ask Discord for something, again and again while it or the network is out of order.

    discord.py itself waits out rate limits and asks again after some server errors. Raises ScreenGone, ScreenRefused
    (ScreenUnreachable when it stays so) and WayLost.
    """
    for delay_s in (*RETRY_DELAYS_S, None):
        try:
            return await call()
        except (discord.DiscordServerError, aiohttp.ClientError, OSError, TimeoutError) as error:
            if delay_s is None:
                raise ScreenUnreachable("Discord does not answer; try again later.") from error
            logger.info("Discord does not answer (%s); asked again in %g s", type(error).__name__, delay_s)
        except discord.HTTPException as error:
            raise _translated(error) from error
        await asyncio.sleep(delay_s)
    raise AssertionError  # the last round returns or raises


def _translated(error: discord.HTTPException) -> Exception:
    if error.code in (UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, INVALID_WEBHOOK_TOKEN):
        return WayLost()
    if isinstance(error, discord.NotFound):
        return ScreenGone("The channel or the message was deleted.")
    return ScreenRefused(REASONS.get(error.code, f"Discord refused it (code {error.code}, status {error.status})."))
