"""A Discord message as the words a model reads: mentions become names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import discord

MENTION = re.compile(r"<(@!?|@&|#)(\d{15,21})>")
CUSTOM_EMOJI = re.compile(r"<a?(:\w+:)\d{15,21}>")


def text_of(message: discord.Message, own_id: int) -> str:
    """What a person wrote. Being addressed is not part of it: the mention of `own_id` at either end is left out."""
    roles = "".join(rf"|&{role.id}" for role in message.role_mentions if is_role_of(own_id, role))
    own = re.compile(rf"<@(?:!?{own_id}{roles})>")
    text = re.sub(rf"^\s*(?:{own.pattern}[\s,:]*)+|\s*(?:{own.pattern}\s*)+$", "", message.content)
    names = {("@", user.id): user.display_name for user in message.mentions}
    names |= {("@&", role.id): role.name for role in message.role_mentions}
    names |= {("#", channel.id): channel.name for channel in message.channel_mentions}

    return plain_of(text, names)


def plain_of(text: str, names: Mapping[tuple[str, int], str] | None = None) -> str:
    """Text with names in place of mentions, by their kind and id, and of emoji."""

    def named(match: re.Match[str]) -> str:
        kind = match[1].rstrip("!")
        return f"{kind[0]}{(names or {}).get((kind, int(match[2])), 'somebody' if kind == '@' else 'something')}"

    return CUSTOM_EMOJI.sub(r"\1", MENTION.sub(named, text)).strip()


def is_role_of(bot_id: int, role: discord.Role) -> bool:
    """Whether this is the role that Discord made for the bot when it joined: it has the bot's name."""
    return role.tags is not None and role.tags.bot_id == bot_id


def has_header(content: str, header: str) -> bool:
    """Whether a message of which nothing is noted yet begins with this very header."""
    return content == header or content.startswith(f"{header}\n")
