"""/settings: how the bot behaves in a thread, channel or server. Who may use it is Discord's to decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from discord import app_commands

from bot.chat.place_settings import changes_of, lines_of
from bot.discord_chat.commands.persona import Scope
from bot.discord_chat.interactions import Interaction, places_here
from bot.discord_chat.names import places_in
from core.errors import PermissionNeeded
from core.store.places import Changes, PlaceSettings

Identity: TypeAlias = Literal["message", "webhook", "profile"]  # those that CAPABILITIES names, as Discord offers them

IDENTITIES = {
    "message": "a plain message of the bot with the persona's name above it",
    "webhook": "the persona's own name and picture on every message",
    "profile": "the bot's own name and picture in this server are those of the persona chosen for the server",
}
OTHERWISE = "mentions and replies are answered"
NO_INTENT = (
    "Free talk needs the Message Content intent, which this bot does not have; the person who runs it can switch it on"
    " in Discord's developer portal (Bot, Privileged Gateway Intents) and start the bot again."
)


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
    changes = changes_of(free_talk=free_talk, keep_text=keep_text)
    if identity is not None:
        changes["identity"] = identity
    parts, here = interaction.client.parts, places_here(interaction)
    parts.chat.place_settings.check(here, scope, changes)
    if free_talk and not parts.connection.has_message_content:
        raise PermissionNeeded(NO_INTENT)
    await interaction.response.defer(ephemeral=True)
    said = await _change(interaction, here, scope, changes) if changes else []
    now = await parts.chat.place_settings.now(here)
    now = replace(now, is_free_talk=await parts.listener.is_free_talk_in(interaction.channel, here))
    shown = f"- identity **{now.identity}**: {IDENTITIES[now.identity]}"
    lines = [*said, *lines_of(now, shown, otherwise=OTHERWISE), *_warnings(interaction, now)]
    await interaction.edit_original_response(content="\n".join(lines))


async def _change(interaction: Interaction, here: tuple[str, ...], scope: Scope | None, changes: Changes) -> list[str]:
    """Change it with all that follows from it, the bot's own profile included; what there is to say about that."""
    parts, guild = interaction.client.parts, interaction.guild
    said, before = await parts.chat.place_settings.change(here, scope, changes, is_private=False)
    is_left = before.identity == "profile" and changes.get("identity", "profile") != "profile"
    if guild is None or not is_left or await parts.profiles.is_chosen_in(places_in(guild)):
        return said
    refused = await parts.profiles.reset(guild)
    return said if refused is None else [*said, f"⚠ {refused}"]


def _warnings(interaction: Interaction, now: PlaceSettings) -> list[str]:
    """What the chosen identity still lacks."""
    if now.identity == "webhook" and not interaction.app_permissions.manage_webhooks:
        return ["⚠ I lack the permission Manage Webhooks here, so I show plain messages until I have it."]
    if now.identity == "profile" and not interaction.app_permissions.change_nickname:
        return ["⚠ I lack the permission Change Nickname here, so I show plain messages until I have it."]
    return []
