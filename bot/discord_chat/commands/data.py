"""/privacy, /mydata, /forget and /consent: everybody's rights over what is kept about them, seen by them alone."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
from typing import Any, Self

import discord
from discord import app_commands

from bot.chat import privacy_cards
from bot.discord_chat.connection import CAPABILITIES
from bot.discord_chat.interactions import Interaction, failures_told, not_waiting, places_here, tell_failure
from bot.discord_chat.names import SOURCE, channel_place, user_id
from core.errors import InvalidInput
from core.store import consent as consents
from core.store import data_rights, places
from core.store.consent import CONSENT_VERSION

GIVE, WITHDRAW = "give", "withdraw"


@app_commands.command(description="What this bot keeps, why and how long")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def privacy(interaction: Interaction) -> None:
    card = privacy_cards.privacy(interaction.client.parts.settings, CAPABILITIES)
    await interaction.response.send_message(card, ephemeral=True)


@app_commands.command(description="Get everything this bot keeps about you, as a file")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def mydata(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    async with interaction.client.parts.store.read() as session:
        found = await data_rights.export(session, user_id(interaction.user))
    file = await asyncio.to_thread(_as_file, found, interaction.filesize_limit)  # a long life takes seconds to pack
    await interaction.edit_original_response(
        content="Everything this bot keeps about you. Times are seconds since 1970, UTC.", attachments=[file]
    )


@app_commands.command(description="Erase everything this bot keeps about you")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def forget(interaction: Interaction) -> None:
    view = not_waiting(ConfirmForget())
    await interaction.response.send_message(privacy_cards.FORGET_WARNING, view=view, ephemeral=True)


@app_commands.command(description="Say whether your words may be kept; off by default")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def consent(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    await _show_consent(interaction)


class ConfirmForget(discord.ui.View):
    """The last question before /forget. A person who presses it erases themselves; it works after a restart."""

    def __init__(self) -> None:
        super().__init__(timeout=None)

    @discord.ui.button(label="Erase everything", style=discord.ButtonStyle.danger, custom_id="forget:yes")
    async def erase(self, interaction: Interaction, _button: discord.ui.Button[Self]) -> None:
        await interaction.response.defer()
        private = await _private_places(interaction)
        parts = interaction.client.parts
        done = await parts.forgetting.person(user_id(interaction.user), private)
        await interaction.edit_original_response(content=privacy_cards.forgotten(done, parts.settings), view=None)

    @discord.ui.button(label="Keep it", style=discord.ButtonStyle.secondary, custom_id="forget:no")
    async def keep(self, interaction: Interaction, _button: discord.ui.Button[Self]) -> None:
        await interaction.response.edit_message(content="Nothing was erased.", view=None)

    async def on_error(
        self, interaction: discord.Interaction[Any], error: Exception, _item: discord.ui.Item[Any]
    ) -> None:
        await tell_failure(interaction, error)


class ConsentButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"consent:(?P<answer>give|withdraw):(?P<version>\d{1,9})",
):
    """A yes or no to one version of the terms. A button of older terms says nothing; it shows the present ones."""

    def __init__(self, answer: str, version: int = CONSENT_VERSION) -> None:
        is_yes = answer == GIVE
        super().__init__(
            discord.ui.Button(
                label="Yes, keep my words" if is_yes else "No, keep nothing and erase what was kept",
                style=discord.ButtonStyle.success if is_yes else discord.ButtonStyle.secondary,
                custom_id=f"consent:{answer}:{version}",
            )
        )
        self.answer = answer
        self.version = version

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str]
    ) -> Self:
        return cls(match["answer"], int(match["version"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        async with failures_told(interaction):
            await interaction.response.defer()
            person = user_id(interaction.user)
            async with interaction.client.parts.store.write() as session:
                if self.answer == WITHDRAW:
                    await consents.withdraw(session, person)
                elif self.version == CONSENT_VERSION:
                    await consents.give(session, person, source=SOURCE)
            await _show_consent(interaction)


async def _show_consent(interaction: Interaction) -> None:
    """The terms with the person's present answer, and the button for the other one."""
    parts = interaction.client.parts
    async with parts.store.read() as session:
        has_agreed = await consents.has(session, user_id(interaction.user))
        here = await places.settings_of(session, *places_here(interaction))
    card = privacy_cards.consent(
        parts.settings,
        CAPABILITIES,
        version=CONSENT_VERSION,
        has_agreed=has_agreed,
        is_text_kept_here=None if interaction.guild_id is None else here.is_text_kept,
    )
    view = discord.ui.View(timeout=None)
    view.add_item(ConsentButton(WITHDRAW if has_agreed else GIVE))
    await interaction.edit_original_response(content=card, view=not_waiting(view))


async def _private_places(interaction: Interaction) -> tuple[str, ...]:
    """The person's chat with the bot, which nobody else sees; none where Discord does not give it."""
    try:
        channel = await interaction.user.create_dm()
    except discord.HTTPException:
        return ()
    return (channel_place(channel.id),)


def _as_file(found: dict[str, Any], limit_bytes: int) -> discord.File:
    """A JSON file, compressed where it would be too large. Raises InvalidInput where that does not help either."""
    content = json.dumps(found, indent=2, ensure_ascii=False).encode()
    if len(content) <= limit_bytes:
        return discord.File(io.BytesIO(content), "mydata.json")
    packed = gzip.compress(content)
    if len(packed) > limit_bytes:
        raise InvalidInput(
            "What is kept about you is larger than Discord takes; ask the person who runs this bot for it."
        )
    return discord.File(io.BytesIO(packed), "mydata.json.gz")
