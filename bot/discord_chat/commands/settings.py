"""/settings: how the bot behaves in a thread, channel or server. Who may use it is Discord's to decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from discord import app_commands

from bot.discord_chat.commands.persona import Scope
from bot.discord_chat.interactions import Interaction, places_here
from bot.discord_chat.names import SOURCE, places_in
from core.errors import InvalidInput, PermissionNeeded
from core.store import data_rights, places
from core.store.places import Changes, PlaceSettings

Identity: TypeAlias = Literal["message", "webhook", "profile"]  # those that CAPABILITIES names, as Discord offers them

IDENTITIES = {
    "message": "a plain message of the bot with the persona's name above it",
    "webhook": "the persona's own name and picture on every message",
    "profile": "the bot's own name and picture in this server are those of the persona chosen for the server",
}


@app_commands.command(description="See or change how the bot behaves here")
@app_commands.describe(
    identity="How a persona shows itself",
    free_talk="Answer every message there, without a mention",
    keep_text="Keep the words of people who agreed with /consent",
    scope="Where it counts; if left out, in this thread or channel",
)
@app_commands.default_permissions(manage_guild=True)
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=False, private_channels=False)
async def settings(
    interaction: Interaction,
    identity: Identity | None = None,
    free_talk: bool | None = None,
    keep_text: bool | None = None,
    scope: Scope | None = None,
) -> None:
    choosing = interaction.client.parts.choosing
    target, place = choosing.target_of(places_here(interaction), scope)
    changes = Changes()
    if identity is not None:
        changes["identity"] = identity
    if free_talk is not None:
        _check_free_talk(interaction, target, is_on=free_talk)
        changes["is_free_talk"] = free_talk
    if keep_text is not None:
        changes["is_text_kept"] = keep_text
    await interaction.response.defer(ephemeral=True)
    said = [f"Changed for {choosing.where(target, is_private=False)}."] if changes else []
    said += await _change(interaction, place, changes)
    parts, here = interaction.client.parts, places_here(interaction)
    async with parts.store.read() as session:
        now = await places.settings_of(session, *here)
    now = replace(now, is_free_talk=await parts.listener.is_free_talk_in(interaction.channel, here))
    lines = [*said, "**What counts here**", *_lines(now), *_warnings(interaction, now)]
    await interaction.edit_original_response(content="\n".join(lines))


async def _change(interaction: Interaction, place: str, changes: Changes) -> list[str]:
    """Change it with all that follows from it; what there is to say about that."""
    if not changes:
        return []
    parts, guild, here = interaction.client.parts, interaction.guild, places_here(interaction)
    said = []
    async with parts.store.write() as session:
        before = await places.settings_of(session, place)
        await places.change(session, place, source=SOURCE, **changes)
        if changes.get("is_text_kept") is False:
            erased = await data_rights.stop_keeping(session, place, wider=here[here.index(place) + 1 :])
            said.append(f"Erased: the words that were kept with {erased} {'answer' if erased == 1 else 'answers'}.")
    parts.free_talk.forget()
    is_left = before.identity == "profile" and changes.get("identity", "profile") != "profile"
    if guild is None or not is_left or await parts.profiles.is_chosen_in(places_in(guild)):
        return said
    refused = await parts.profiles.reset(guild)
    return said if refused is None else [*said, f"⚠ {refused}"]


def _check_free_talk(interaction: Interaction, scope: str, *, is_on: bool) -> None:
    """Raises InvalidInput for a whole server, and PermissionNeeded without the intent that free talk needs."""
    if is_on and scope == "server":
        raise InvalidInput("Free talk is opened channel by channel, so that the bot does not answer everywhere.")
    if is_on and not interaction.client.parts.connection.has_message_content:
        raise PermissionNeeded(
            "Free talk needs the Message Content intent, which this bot does not have; the person who runs it can"
            " switch it on in Discord's developer portal (Bot, Privileged Gateway Intents) and start the bot again."
        )


def _lines(now: PlaceSettings) -> list[str]:
    return [
        f"- identity **{now.identity}**: {IDENTITIES[now.identity]}",
        f"- free talk **{_on(now.is_free_talk)}**: "
        + ("every message is answered" if now.is_free_talk else "mentions and replies are answered"),
        f"- keeping text **{_on(now.is_text_kept)}**: "
        + (
            "of people who agreed with `/consent`"
            if now.is_text_kept
            else "no words are kept, not even of people who agreed"
        ),
    ]


def _warnings(interaction: Interaction, now: PlaceSettings) -> list[str]:
    """What the chosen identity still lacks."""
    if now.identity == "webhook" and not interaction.app_permissions.manage_webhooks:
        return ["⚠ I lack the permission Manage Webhooks here, so I show plain messages until I have it."]
    if now.identity == "profile" and not interaction.app_permissions.change_nickname:
        return ["⚠ I lack the permission Change Nickname here, so I show plain messages until I have it."]
    return []


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"
