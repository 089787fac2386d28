"""How commands and buttons answer the person who used them, and what they say when something fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import discord
from discord import app_commands
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from bot.discord_chat.places import places_of
from bot.discord_chat.refusals import sentence_of
from core.errors import PersonasError

if TYPE_CHECKING:
    from bot.discord_chat.client import PersonaBot

    Interaction: TypeAlias = discord.Interaction[PersonaBot]

MAX_CHARS = 2_000  # of a message
ALREADY_ACKNOWLEDGED = 40060  # Discord delivered the event twice, and the first is being answered
OUR_MISTAKE = "That did not work because of a mistake in this bot, which is now in its log; try again later."
NOT_ALLOWED = "Discord does not allow me to do that here; ask an administrator to look at my permissions."

View = TypeVar("View", bound=discord.ui.View)
logger = logging.getLogger(__name__)


def places_here(interaction: Interaction) -> tuple[str, ...]:
    """Where the command was used, the narrowest place first."""
    channel = interaction.channel or discord.Object(interaction.channel_id or 0)
    return places_of(channel, interaction.guild_id)


async def tell(interaction: Interaction, sentence: str) -> None:
    """Tell the person who used the command, and nobody else unless the bot is "thinking" in public already."""
    text = sentence if len(sentence) <= MAX_CHARS else f"{sentence[: MAX_CHARS - 1]}…"
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
        else:
            await interaction.response.send_message(text, ephemeral=True)
    except discord.HTTPException as error:
        logger.info("An answer to %s came too late or was refused: %s", _what(interaction), error)


async def fill_in(interaction: discord.Interaction[Any], text: str, view: discord.ui.View | None) -> int:
    """Answer in place of "thinking…", with no link unfolded. Returns the message's id; raises what discord.py raises.

    Discord takes that wish with the answer alone, not with the "thinking…" before, and discord.py's own
    `edit_original_response` knows no flags.
    """
    way = interaction.followup
    with handle_message_parameters(
        content=text,
        view=view,
        flags=discord.MessageFlags(suppress_embeds=True),
        allowed_mentions=discord.AllowedMentions.none(),
    ) as form:
        shown = await async_context.get().edit_original_interaction_response(
            way.id,
            interaction.token,
            session=way.session,
            proxy=way.proxy,
            proxy_auth=way.proxy_auth,
            payload=form.payload,
        )
    return int(shown["id"])


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
