"""Discord called: asked again while it is out of order, and its refusals as errors of ours. Knows no messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord

from bot.chat.platform import ScreenGone, ScreenRefused, ScreenUnreachable

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
INVALID_WEBHOOK_TOKEN = 50027
INVALID_FORM = 50035
TOO_MANY_WEBHOOKS = 30007
TOO_MANY_REQUESTS = 429  # a status; discord.py gives up after five of them, and at once where Cloudflare says so
NO_HISTORY = 160002  # a reply needs the right to read the channel's history
REASONS = {
    50001: "The bot cannot see this channel; give it the permission View Channel.",
    50007: "This person takes no direct messages from the bot.",
    50013: "The bot may not do this here; give it the permission that is missing, `personas doctor` says which.",
    50083: "This thread is archived.",
}
RETRY_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
MAX_WAIT_S = 30.0  # at once, whatever Discord asks for; `Recovery` comes back later

GONE = "The channel or the message was deleted."

T = TypeVar("T")
logger = logging.getLogger(__name__)


class ChannelGone(ScreenGone):
    """Discord knows no such channel."""


class MessageGone(ScreenGone):
    """Discord knows no such message in a channel that it shows."""


class RouteClosed(Exception):
    """An interaction's token or a webhook has come to its end; what it has sent stays."""


UNREADABLE = (ScreenGone, ScreenRefused, RouteClosed)
"""What `attempt` raises."""


async def attempt(call: Callable[[], Awaitable[T]]) -> T:
    """Ask Discord for something, again and again while it or the network is out of order.

    discord.py itself waits out rate limits and asks again after some server errors, five times. Raises ScreenGone,
    ScreenRefused (ScreenUnreachable when it stays so) and RouteClosed.
    """
    for delay_s in (*RETRY_DELAYS_S, None):
        try:
            return await call()
        except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(error, discord.HTTPException) and not is_passing(error):
                raise _translated(error) from error
            if delay_s is None:
                raise ScreenUnreachable("Discord does not answer; try again later.") from error
            wait_s = max(delay_s, min(_retry_after_s(error), MAX_WAIT_S))
            logger.info("Discord does not answer (%s); asked again in %g s", type(error).__name__, wait_s)
        await asyncio.sleep(wait_s)
    raise AssertionError  # the last round returns or raises


def is_passing(error: discord.HTTPException) -> bool:
    """Whether Discord may well say something else later."""
    return error.status >= 500 or error.status == TOO_MANY_REQUESTS


def _retry_after_s(error: BaseException) -> float:
    """How long Discord, or Cloudflare before it, wants to be left alone; 0 where it does not say."""
    if isinstance(error, discord.RateLimited):
        return error.retry_after
    if not isinstance(error, discord.HTTPException) or error.status != TOO_MANY_REQUESTS:
        return 0.0
    try:
        return float(error.response.headers.get("Retry-After", 0))
    except ValueError:  # a date is allowed, too
        return 0.0


def _translated(error: discord.HTTPException) -> Exception:
    if error.code in (UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, INVALID_WEBHOOK_TOKEN):
        return RouteClosed()
    if error.code == UNKNOWN_CHANNEL:
        return ChannelGone(GONE)
    if error.code == UNKNOWN_MESSAGE:
        return MessageGone(GONE)
    if isinstance(error, discord.NotFound):
        return ScreenGone(GONE)
    return ScreenRefused(REASONS.get(error.code, f"Discord refused it (code {error.code}, status {error.status})."))
