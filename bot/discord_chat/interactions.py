"""How commands and buttons answer the person who used them, and what they say when something fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import aiohttp
import discord
from discord import app_commands

from bot.chat.wording import OUR_MISTAKE, sentence_of
from bot.discord_chat.bot import PersonaBot
from bot.discord_chat.connection import CAPABILITIES
from bot.discord_chat.names import places_of
from core.errors import PersonasError

Interaction: TypeAlias = discord.Interaction[PersonaBot]

ALREADY_ACKNOWLEDGED = 40060  # Discord delivered the event twice, and the first is being answered
NOT_ALLOWED = "Discord does not allow me to do that here; ask an administrator to look at my permissions."

View = TypeVar("View", bound=discord.ui.View)
logger = logging.getLogger(__name__)


def places_here(interaction: Interaction) -> tuple[str, ...]:
    """Where the command was used, the narrowest place first."""
    channel = interaction.channel or discord.Object(interaction.channel_id or 0)
    return places_of(channel, interaction.guild_id)


async def tell(interaction: Interaction, sentence: str) -> None:
    """Tell the person who used the command, and nobody else unless the bot is "thinking" in public already."""
    text = sentence if len(sentence) <= CAPABILITIES.max_chars else f"{sentence[: CAPABILITIES.max_chars - 1]}…"
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
        else:
            await interaction.response.send_message(text, ephemeral=True)
    except discord.HTTPException as error:
        logger.info("An answer to %s came too late or was refused: %s", _what(interaction), error)


async def tell_failure(interaction: Interaction, error: BaseException) -> None:
    """Say what went wrong in a sentence; an error that has none is a mistake of ours and goes to the log."""
    if isinstance(error, PersonasError):
        await tell(interaction, sentence_of(error))
    elif isinstance(error, discord.Forbidden):
        await tell(interaction, NOT_ALLOWED)
    elif isinstance(error, discord.NotFound) or getattr(error, "code", None) == ALREADY_ACKNOWLEDGED:
        logger.info("%s came too late, or a second time: %s", _what(interaction), error)
    else:
        logger.error("%s failed", _what(interaction), exc_info=error)
        await tell(interaction, OUR_MISTAKE)


async def on_command_error(interaction: Interaction, error: app_commands.AppCommandError) -> None:
    """What the command tree calls when a command raised."""
    await tell_failure(interaction, error.original if isinstance(error, app_commands.CommandInvokeError) else error)


@asynccontextmanager
async def failures_told(interaction: Interaction) -> AsyncIterator[None]:
    """Around the callback of a button or form, for which discord.py would only write into the log."""
    try:
        yield
    except Exception as error:  # the boundary of a callback; what has no sentence is logged
        await tell_failure(interaction, error)


def not_waiting(view: View) -> View:
    """A view to send whose buttons the bot answers for all messages at once: discord.py need not keep this one.

    It would drop the buttons' patterns for everybody when one ephemeral message's 15 minutes are over.
    """
    view.stop()
    return view


def _what(interaction: Interaction) -> str:
    """What was used, without anything that a person wrote."""
    used: Mapping[str, Any] = interaction.data or {}
    return f"{interaction.type.name} {used.get('name') or used.get('custom_id')!r}"


async def acknowledge(interaction: Interaction) -> bool:
    """Tell Discord that a press has arrived. False when it is too late for that, or when it arrives a second time."""
    try:
        await interaction.response.defer()
    except discord.HTTPException as error:
        logger.info("A press of %s is left alone: %s", interaction.custom_id, error)
        return False
    except (aiohttp.ClientError, OSError) as error:  # it may have arrived all the same
        logger.info("Whether a press of %s was acknowledged is unknown: %r", interaction.custom_id, error)
    return True
