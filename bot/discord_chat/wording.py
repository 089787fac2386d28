"""A Discord message as the words a model reads: mentions become names, and our own header and notes go. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.chat.reply_pages import EMPTY_NOTE, STOPPED_NOTE

if TYPE_CHECKING:
    import discord

MENTION = re.compile(r"<(@!?|@&|#)(\d{15,21})>")
CUSTOM_EMOJI = re.compile(r"<a?(:\w+:)\d{15,21}>")
NOTE = re.compile(rf"(?:^|\n)(?:-# [^\n]*|{re.escape(STOPPED_NOTE)}|{re.escape(EMPTY_NOTE)})$")
HEADER = re.compile(r"^\*\*[^\n]{1,300}\*\*\n")


def text_of(message: discord.Message, own_id: int) -> str:
    """What a person wrote. Being addressed is not part of it: the mention of `own_id` at either end is left out."""
    roles = "".join(rf"|&{role.id}" for role in message.role_mentions if is_role_of(own_id, role))
    own = re.compile(rf"<@(?:!?{own_id}{roles})>")
    text = re.sub(rf"^\s*(?:{own.pattern}[\s,:]*)+|\s*(?:{own.pattern}\s*)+$", "", message.content)
    names = {("@", user.id): user.display_name for user in message.mentions}
    names |= {("@&", role.id): role.name for role in message.role_mentions}
    names |= {("#", channel.id): channel.name for channel in message.channel_mentions}

    def named(match: re.Match[str]) -> str:
        kind = match[1].rstrip("!")
        return f"{kind[0]}{names.get((kind, int(match[2])), 'somebody' if kind == '@' else 'something')}"

    return CUSTOM_EMOJI.sub(r"\1", MENTION.sub(named, text)).strip()


def is_role_of(bot_id: int, role: discord.Role) -> bool:
    """Whether this is the role that Discord made for the bot when it joined: it has the bot's name."""
    return role.tags is not None and role.tags.bot_id == bot_id


def own_words(content: str) -> str:
    """The model's part of one of our own messages: without the header above it and the notes below."""
    text = HEADER.sub("", content)
    while (shorter := NOTE.sub("", text)) != text:
        text = shorter
    return text.strip()


def has_header(content: str) -> bool:
    """Whether one of our own messages begins with who speaks."""
    return content.startswith("**")


def header(title: str) -> str:
    """What stands above a persona's reply where nothing else shows who speaks."""
    return f"**{title}**"
