"""/persona and /blend: who answers in a thread, channel or server. Knows no identities and no replies."""

from __future__ import annotations

import textwrap
from typing import Literal, TypeAlias

import discord
from discord import app_commands

from bot.chat.choosing import DEFAULT
from bot.chat.personas import OFFERED_WEIGHTS, choose, complete_blend, search
from bot.discord_chat.interactions import Interaction, places_here
from core.blends import BASE, Blend
from core.personas import Persona

Scope: TypeAlias = Literal["thread", "channel", "server"]

MAX_CHOICES = 25
MAX_CHOICE_CHARS = 100


@app_commands.command(description="Choose who answers here, or see who does")
@app_commands.describe(
    name="Persona that answers from now on; leave it out to see who answers",
    strength="How much of the persona: 50%, or a number up to 2; full strength if left out",
    scope="Where it answers; if left out, in this thread or channel",
)
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
async def persona(
    interaction: Interaction,
    name: app_commands.Range[str, 1, 200] | None = None,
    strength: app_commands.Range[str, 1, 20] | None = None,
    scope: Scope | None = None,
) -> None:
    if name is None:
        await _show(interaction)
        return
    await _bind(interaction, interaction.client.parts.chat.choosing.chosen(name, strength or ""), scope)


@app_commands.command(description="Let a blend of personas answer here")
@app_commands.describe(
    spec="Personas and their weights, such as codebeard:0.7+zen:0.3",
    scope="Where it answers; if left out, in this thread or channel",
)
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
async def blend(interaction: Interaction, spec: app_commands.Range[str, 1, 200], scope: Scope | None = None) -> None:
    await _bind(interaction, choose(interaction.client.parts.personas, spec), scope)


@persona.autocomplete("name")
async def offer_choices(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Personas, then what else can be chosen, as far as it fits what was typed."""
    others = {BASE: "no persona: the base model as it is", DEFAULT: "whatever the server or the bot has chosen"}
    offered = await offer_personas(interaction, typed)
    offered = offered[: MAX_CHOICES - len(others)]
    return offered + [_choice(f"{value} · {what}", value) for value, what in others.items() if typed.lower() in value]


async def offer_personas(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Installed personas that fit what was typed, each with a preview."""
    found = search(interaction.client.parts.personas, typed)[:MAX_CHOICES]
    return [_choice(f"{one.file.emoji} {one.name} · {one.file.description}", one.slug) for one in found]


@persona.autocomplete("strength")
async def offer_strengths(_interaction: Interaction, _typed: str) -> list[app_commands.Choice[str]]:
    return [_choice(f"{weight:.0%}", f"{weight:.0%}") for weight in (*OFFERED_WEIGHTS, 1.5)]


@blend.autocomplete("spec")
async def offer_blends(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    personas = interaction.client.parts.personas
    specs = [spec for spec in complete_blend(personas, typed) if len(spec) <= MAX_CHOICE_CHARS]
    return [_choice(spec, spec) for spec in specs[:MAX_CHOICES]]


async def _bind(interaction: Interaction, chosen: Blend | None, scope: Scope | None) -> None:
    """Let `chosen` answer there, and greet in public. Raises what `target_of` does, before anything shows.

    Who may use a command, and so choose for all these places, is decided in Discord alone: Server Settings,
    Integrations.
    """
    choosing, here = interaction.client.parts.chat.choosing, places_here(interaction)
    choosing.target_of(here, scope)
    await interaction.response.defer()
    said = await choosing.bind(here, scope, chosen, is_private=interaction.guild_id is None)
    embed, file = _greeting(choosing.greeter_of(chosen))
    attachments = [] if file is None else [file]
    await interaction.edit_original_response(content=said, embed=embed, attachments=attachments)


def _greeting(greeter: Persona | None) -> tuple[discord.Embed | None, discord.File | None]:
    """What a persona says when it is bound."""
    if greeter is None:
        return None, None
    embed = discord.Embed(title=f"{greeter.file.emoji} {greeter.name}", description=greeter.file.greeting)
    if greeter.avatar is None:
        return embed, None
    embed.set_thumbnail(url=f"attachment://{greeter.slug}.png")
    return embed, discord.File(greeter.avatar, f"{greeter.slug}.png")


async def _show(interaction: Interaction) -> None:
    """Who answers here and which place decided it, to the asker alone."""
    await interaction.response.defer(ephemeral=True)
    choosing, here = interaction.client.parts.chat.choosing, places_here(interaction)
    shown = await choosing.shown(here, is_private=interaction.guild_id is None)
    await interaction.edit_original_response(content=shown)


def _choice(name: str, value: str) -> app_commands.Choice[str]:
    return app_commands.Choice(name=textwrap.shorten(name, MAX_CHOICE_CHARS, placeholder="…"), value=value)
