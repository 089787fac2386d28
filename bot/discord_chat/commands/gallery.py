"""/personas: everybody there is, with picture, adapter version, evaluation and base model, a few on a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

import discord
from discord import app_commands

from bot.chat.gallery import Gallery, PersonaCard
from bot.discord_chat.interactions import Interaction, failures_told, not_waiting

PER_PAGE = 4  # pictures below each other that a phone still shows at once
ARROWS = {"back": "◀", "on": "▶"}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the gallery, ready to be shown."""

    embeds: list[discord.Embed]
    files: list[discord.File]
    view: discord.ui.View | None


@app_commands.command(description="See the personas there are")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def personas(interaction: Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    await _show(interaction, 0)


class TurnPage(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"personas:(?P<way>back|on):(?P<page>\d{1,6})",
):
    """A button to another page; it works after a restart, and when there are fewer personas than it was made for."""

    def __init__(self, way: str, page: int) -> None:
        super().__init__(discord.ui.Button(label=ARROWS[way], custom_id=f"personas:{way}:{page}"))
        self.page = page

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str]
    ) -> Self:
        return cls(match["way"], int(match["page"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        async with failures_told(interaction):
            await interaction.response.defer()
            await _show(interaction, self.page)


async def _show(interaction: Interaction, number: int) -> None:
    page = await page_of(interaction.client.parts.gallery, number)
    await interaction.edit_original_response(embeds=page.embeds, attachments=page.files, view=page.view)


async def page_of(gallery: Gallery, number: int) -> Page:
    """Page `number`, counted from 0; the last one when there are fewer. Raises StoreUnavailable."""
    last = (len(gallery.personas) - 1) // PER_PAGE
    number = min(number, last)
    shown = gallery.personas[number * PER_PAGE : (number + 1) * PER_PAGE]
    return Page(
        embeds=[_card(one, gallery.base_slug) for one in await gallery.cards(shown)],
        files=[discord.File(one.avatar, f"{one.slug}.png") for one in shown if one.avatar is not None],
        view=_arrows(number, last),
    )


def _card(card: PersonaCard, base_slug: str) -> discord.Embed:
    persona = card.persona
    embed = discord.Embed(title=card.title, description=persona.file.description)
    if persona.avatar is not None:
        embed.set_thumbnail(url=f"attachment://{persona.slug}.png")
    embed.add_field(name="Answers with", value=card.adapter)
    embed.add_field(name="Base model", value=base_slug)
    embed.add_field(name="Evaluation", value=card.evaluation)
    if card.thumbs:
        embed.add_field(name="Thumbs", value=card.thumbs)
    embed.set_footer(text=f"/persona {persona.slug}")
    return embed


def _arrows(number: int, last: int) -> discord.ui.View | None:
    if last == 0:
        return None
    view = discord.ui.View(timeout=None)
    view.add_item(TurnPage("back", (number - 1) % (last + 1)))
    view.add_item(discord.ui.Button(label=f"{number + 1}/{last + 1}", custom_id="personas:here", disabled=True))
    view.add_item(TurnPage("on", (number + 1) % (last + 1)))
    return not_waiting(view)
