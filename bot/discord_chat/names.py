"""What Discord's servers, channels, people and messages are called in the store. Knows no store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord

from bot.chat.listed_names import check_listed
from core.names import PersonName, PlaceName, parse_place
from core.settings import Settings

if TYPE_CHECKING:
    from discord.abc import MessageableChannel

SOURCE = "discord"
GUILD, CHANNEL, THREAD, CHAIN, DM = "guild", "channel", "thread", "chain", "dm"
SETTABLE = (GUILD, CHANNEL, THREAD)
NUMBER = "[0-9]+"


def _name(kind: str, number: int) -> str:
    return str(PlaceName(SOURCE, kind, str(number)))


def prefix_of(kind: str) -> str:
    """What the names of all places of this kind begin with."""
    return PlaceName(SOURCE, kind, "").prefix


def user_id(user: discord.abc.Snowflake) -> str:
    return str(PersonName(SOURCE, str(user.id)))


def channel_place(channel_id: int) -> str:
    return _name(CHANNEL, channel_id)


def thread_place(thread_id: int) -> str:
    """A thread as a place, and as the conversation that it is."""
    return _name(THREAD, thread_id)


def guild_place(guild_id: int) -> str:
    return _name(GUILD, guild_id)


def id_of(place_id: str) -> int:
    """Discord's id of a server, channel or thread."""
    return int(parse_place(place_id).id)


def chain_conversation(first_id: int) -> str:
    """The conversation of a reply chain, named for its first message."""
    return _name(CHAIN, first_id)


def dm_conversation(channel_id: int) -> str:
    return _name(DM, channel_id)


def places_of(channel: MessageableChannel | discord.abc.Snowflake, guild_id: int | None = None) -> tuple[str, ...]:
    """Where a message stands, the narrowest place first: thread, channel, server; a DM is a channel of its own.

    `guild_id` is needed only where the channel doesn't know its server.
    """
    guild = getattr(channel, "guild", None)
    server = guild.id if guild is not None else guild_id
    servers = () if server is None else (guild_place(server),)
    if isinstance(channel, discord.Thread):
        return thread_place(channel.id), channel_place(channel.parent_id), *servers
    return channel_place(channel.id), *servers


def places_in(guild: discord.Guild) -> tuple[str, ...]:
    """A server with all its channels and threads, the server first."""
    channels = (channel_place(channel.id) for channel in guild.channels)
    threads = (thread_place(thread.id) for thread in guild.threads)
    return guild_place(guild.id), *channels, *threads


def check_names(settings: Settings) -> None:
    """Raises InvalidSetting for a place or person of Discord's that no Discord can have."""
    check_listed(settings, SOURCE, "Discord", dict.fromkeys(SETTABLE, NUMBER), NUMBER)


def is_in_guild(place_ids: Sequence[str]) -> bool:
    """Whether these places are in a server, not in a DM."""
    return any(parse_place(place).kind == GUILD for place in place_ids)


def message_key(channel_id: int, message_id: int) -> str:
    """A message's id in deliveries and as a question: unique over Discord, and enough to find it again."""
    return f"{channel_id}/{message_id}"


def command_key(interaction_id: int) -> str:
    """What was typed into a command, which no message shows."""
    return f"interaction:{interaction_id}"


def is_message(key: str) -> bool:
    """Whether this is a `message_key`, not a `command_key`."""
    return "/" in key


def split_key(key: str) -> tuple[int, int]:
    """Channel id and message id of a key."""
    channel_id, _, message_id = key.partition("/")
    return int(channel_id), int(message_id)
