"""What Discord and the network may say to a call, as errors of ours. Knows no messages."""

from __future__ import annotations

import aiohttp
import discord

from bot.chat.calls import Calls, Passing
from bot.chat.platform import ScreenGone, ScreenRefused

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

GONE = "The channel or the message was deleted."

OUTAGES = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError, TimeoutError)


class ChannelGone(ScreenGone):
    """Discord knows no such channel."""


class MessageGone(ScreenGone):
    """Discord knows no such message in a channel that it shows."""


class RouteClosed(Exception):
    """An interaction's token or a webhook has come to its end; what it has sent stays."""


UNREADABLE = (ScreenGone, ScreenRefused, RouteClosed)
"""What `attempt` raises."""


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


def _judged(error: BaseException) -> Passing | Exception:
    if not isinstance(error, discord.HTTPException) or is_passing(error):
        return Passing(type(error).__name__, _retry_after_s(error))
    if error.code in (UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, INVALID_WEBHOOK_TOKEN):
        return RouteClosed()
    if error.code == UNKNOWN_CHANNEL:
        return ChannelGone(GONE)
    if error.code == UNKNOWN_MESSAGE:
        return MessageGone(GONE)
    if isinstance(error, discord.NotFound):
        return ScreenGone(GONE)
    return ScreenRefused(REASONS.get(error.code, f"Discord refused it (code {error.code}, status {error.status})."))


attempt = Calls("Discord", OUTAGES, _judged).attempt
"""Asks Discord for something; discord.py itself waits out rate limits and asks again after some errors, five times.

Raises ScreenGone, ScreenRefused (ScreenUnreachable when it stays so) and RouteClosed.
"""
