"""/persona and /blend: who answers in a thread, channel or server. Knows no identities and no replies."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal, TypeAlias

import discord
from discord import app_commands

from bot.discord_chat.interaction_replies import places_here
from bot.discord_chat.places import SOURCE
from bot.persona_choice import OFFERED_WEIGHTS, choose, complete_blend, describe, search
from core.blends import BASE, Blend
from core.errors import InvalidInput
from core.store import places

if TYPE_CHECKING:
    from bot.discord_chat.interaction_replies import Interaction
    from bot.service import Service

Scope: TypeAlias = Literal["thread", "channel", "server"]

MAX_CHOICES = 25
MAX_CHOICE_CHARS = 100
DEFAULT = "default"  # typed as a name: choose nothing here, so that the next wider place decides
PRECEDENCE = "-# A thread's own choice goes before its channel's, a channel's before its server's."
SCOPES: dict[int, tuple[Scope, ...]] = {1: ("channel",), 2: ("channel", "server"), 3: ("thread", "channel", "server")}


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
    service = interaction.client.chat.service
    is_default = name.strip().lower() == DEFAULT and DEFAULT not in service.personas
    await _bind(interaction, None if is_default else choose(service.personas, name, strength or ""), scope)


@app_commands.command(description="Let a blend of personas answer here")
@app_commands.describe(
    spec="Personas and their weights, such as codebeard:0.7+zen:0.3",
    scope="Where it answers; if left out, in this thread or channel",
)
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
async def blend(interaction: Interaction, spec: app_commands.Range[str, 1, 200], scope: Scope | None = None) -> None:
    await _bind(interaction, choose(interaction.client.chat.service.personas, spec), scope)


@persona.autocomplete("name")
async def offer_choices(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Personas, then what else can be chosen, as far as it fits what was typed."""
    others = {BASE: "no persona: the base model as it is", DEFAULT: "whatever the server or the bot has chosen"}
    offered = await offer_personas(interaction, typed)
    offered = offered[: MAX_CHOICES - len(others)]
    return offered + [_choice(f"{value} · {what}", value) for value, what in others.items() if typed.lower() in value]


async def offer_personas(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Installed personas that fit what was typed, each with a preview."""
    found = search(interaction.client.chat.service.personas, typed)[:MAX_CHOICES]
    return [_choice(f"{one.file.emoji} {one.name} · {one.file.description}", one.slug) for one in found]


@persona.autocomplete("strength")
async def offer_strengths(_interaction: Interaction, _typed: str) -> list[app_commands.Choice[str]]:
    return [_choice(f"{weight:.0%}", f"{weight:.0%}") for weight in (*OFFERED_WEIGHTS, 1.5)]


@blend.autocomplete("spec")
async def offer_blends(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    personas = interaction.client.chat.service.personas
    specs = [spec for spec in complete_blend(personas, typed) if len(spec) <= MAX_CHOICE_CHARS]
    return [_choice(spec, spec) for spec in specs[:MAX_CHOICES]]


async def _bind(interaction: Interaction, chosen: Blend | None, scope: Scope | None) -> None:
    """Let `chosen` answer there, and greet in public. Raises what `target_of` does, before anything shows."""
    service = interaction.client.chat.service
    target, place = target_of(interaction, scope)
    await interaction.response.defer()
    async with service.store.write() as session:
        await places.set_model(session, place, source=SOURCE, model=None if chosen is None else str(chosen))
        answering = await places.model_of(session, *places_here(interaction))
    spec = answering or service.default_persona
    if chosen is None:
        said = f"{where(interaction, target).capitalize()} makes no choice of its own any more."
    else:
        said = f"**{describe(service.personas, str(chosen))}** answers in {where(interaction, target)} from now on."
    if chosen is None or str(chosen) != spec:
        said += f" Here, **{describe(service.personas, spec)}** answers{_because(target, chosen)}."
    embed, file = _greeting(service, chosen)
    attachments = [] if file is None else [file]
    await interaction.edit_original_response(content=f"{said}\n{PRECEDENCE}", embed=embed, attachments=attachments)


def _because(scope: Scope, chosen: Blend | None) -> str:
    return "" if chosen is None else f" all the same, because a choice narrower than the {scope}'s goes first"


def _greeting(service: Service, chosen: Blend | None) -> tuple[discord.Embed | None, discord.File | None]:
    """What the persona says when it is bound; a blend speaks with its heaviest persona, the base model says nothing."""
    if chosen is None or chosen.is_base:
        return None, None
    greeter = service.personas[chosen.parts[0].slug]
    embed = discord.Embed(title=f"{greeter.file.emoji} {greeter.name}", description=greeter.file.greeting)
    if greeter.avatar is None:
        return embed, None
    embed.set_thumbnail(url=f"attachment://{greeter.slug}.png")
    return embed, discord.File(greeter.avatar, f"{greeter.slug}.png")


async def _show(interaction: Interaction) -> None:
    """Who answers here and which place decided it, to the asker alone."""
    service = interaction.client.chat.service
    await interaction.response.defer(ephemeral=True)
    here = scopes_here(interaction)
    async with service.store.read() as session:
        chosen = {scope: await places.model_of(session, place) for scope, place in here.items()}
    decided = next((scope for scope, spec in chosen.items() if spec is not None), None)
    spec = service.default_persona if decided is None else chosen[decided]
    why = "the bot's default" if decided is None else f"chosen for {where(interaction, decided)}"
    lines = [f"**{describe(service.personas, spec or service.default_persona)}** answers here: {why}."]
    for scope, choice in chosen.items():
        named = "nothing chosen" if choice is None else f"{describe(service.personas, choice)} (`{choice}`)"
        lines.append(f"- {where(interaction, scope)}: {named}")
    lines += [f"- default: {describe(service.personas, service.default_persona)}", PRECEDENCE]
    await interaction.edit_original_response(content="\n".join(lines))


def scopes_here(interaction: Interaction) -> dict[Scope, str]:
    """The places a choice can be made for, where the command was used; the narrowest first."""
    here = places_here(interaction)
    return dict(zip(SCOPES[len(here)], here, strict=True))


def target_of(interaction: Interaction, asked: Scope | None) -> tuple[Scope, str]:
    """The scope that a choice is made for and its place; without an asked one, the narrowest.

    Raises InvalidInput for a place that is not here. Who may use a command, and so choose for all these places, is
    decided in Discord alone: Server Settings, Integrations.
    """
    here = scopes_here(interaction)
    scope = asked or next(iter(here))
    if scope not in here:
        raise InvalidInput(f"There is no {scope} here; leave the scope out, or use the command inside one.")
    return scope, here[scope]


def where(interaction: Interaction, scope: Scope) -> str:
    return "our direct messages" if interaction.guild_id is None else f"this {scope}"


def _choice(name: str, value: str) -> app_commands.Choice[str]:
    return app_commands.Choice(name=textwrap.shorten(name, MAX_CHOICE_CHARS, placeholder="…"), value=value)
