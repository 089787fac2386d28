"""/privacy, /mydata, /forget and /consent: everybody's rights over what is kept about them, seen by them alone."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
from functools import partial
from typing import Any, Self

import discord
from discord import app_commands

from bot.chat.own_data import BUTTONS, FILE_NAME, FILE_NOTE, Card
from bot.discord_chat.interactions import Interaction, failures_told, not_waiting, places_here
from bot.discord_chat.names import channel_place, user_id
from core.errors import InvalidInput
from core.store.consent import CONSENT_VERSION

STYLES = {
    "plain": discord.ButtonStyle.secondary,
    "good": discord.ButtonStyle.success,
    "danger": discord.ButtonStyle.danger,
}


@app_commands.command(description="What this bot keeps, why and how long")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def privacy(interaction: Interaction) -> None:
    card = interaction.client.parts.chat.own_data.privacy()
    await interaction.response.send_message(card.text, ephemeral=True)


@app_commands.command(description="Get everything this bot keeps about you, as a file")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def mydata(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    found = await interaction.client.parts.chat.own_data.file(user_id(interaction.user))
    file = await asyncio.to_thread(_as_file, found.encode(), interaction.filesize_limit)
    await interaction.edit_original_response(content=FILE_NOTE, attachments=[file])


@app_commands.command(description="Erase everything this bot keeps about you")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def forget(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    await _show(interaction, interaction.client.parts.chat.own_data.forget())


@app_commands.command(description="Say whether your words may be kept; off by default")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def consent(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    is_private = interaction.guild_id is None
    card = await interaction.client.parts.chat.own_data.consent(
        user_id(interaction.user), places_here(interaction), is_private=is_private
    )
    await _show(interaction, card)


class DataButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"data:(?P<verb>forget|keep|give|withdraw):(?P<version>\d{1,9})",
):
    """A button below a card, made under one version of the terms; it works after a restart."""

    def __init__(self, verb: str, version: int = CONSENT_VERSION) -> None:
        one = BUTTONS[verb]
        super().__init__(discord.ui.Button(label=one.label, style=STYLES[one.kind], custom_id=f"data:{verb}:{version}"))
        self.verb = verb
        self.version = version

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str]
    ) -> Self:
        return cls(match["verb"], int(match["version"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        async with failures_told(interaction):
            await interaction.response.defer()
            card = await interaction.client.parts.chat.own_data.press(
                self.verb,
                self.version,
                user_id(interaction.user),
                places_here(interaction),
                partial(_private_places, interaction),
                is_private=interaction.guild_id is None,
            )
            await _show(interaction, card)


async def _show(interaction: Interaction, card: Card) -> None:
    view = discord.ui.View(timeout=None)
    for button in card.buttons:
        view.add_item(DataButton(button.verb))
    await interaction.edit_original_response(content=card.text, view=not_waiting(view) if card.buttons else None)


async def _private_places(interaction: Interaction) -> tuple[str, ...]:
    """The person's chat with the bot, which nobody else sees; none where Discord does not give it."""
    try:
        channel = await interaction.user.create_dm()
    except discord.HTTPException:
        return ()
    return (channel_place(channel.id),)


def _as_file(content: bytes, limit_bytes: int) -> discord.File:
    """A JSON file, compressed where it would be too large. Raises InvalidInput where that does not help either."""
    if len(content) <= limit_bytes:
        return discord.File(io.BytesIO(content), FILE_NAME)
    packed = gzip.compress(content)
    if len(packed) > limit_bytes:
        raise InvalidInput(
            "What is kept about you is larger than Discord takes; ask the person who runs this bot for it."
        )
    return discord.File(io.BytesIO(packed), f"{FILE_NAME}.gz")
