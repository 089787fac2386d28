"""A Slack message as the words a model reads: markup becomes text, and our own header and notes go. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.chat.reply_pages import EMPTY_NOTE, STOPPED_NOTE

USER_MENTION = re.compile(r"<@([UWB][A-Z0-9]+)(?:\|[^>]*)?>")
MARKUP = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
NOTE = re.compile(rf"(?:^|\n)(?:_[^\n]*_|{re.escape(STOPPED_NOTE)}|{re.escape(EMPTY_NOTE)})$")
HEADER = re.compile(r"^\*{1,2}[^\n*]{1,300}\*{1,2}\n")


def mentions(text: str) -> set[str]:
    """The people who are mentioned."""
    return set(USER_MENTION.findall(text))


def words_of(text: str, own_user: str, names: Mapping[str, str]) -> str:
    """What a person wrote. Being addressed is not part of it: the mention of the bot at either end is left out.

    `names` are how the mentioned people are called.
    """
    own = rf"<@{own_user}(?:\|[^>]*)?>"
    text = re.sub(rf"^\s*(?:{own}[\s,:]*)+|\s*(?:{own}\s*)+$", "", text)
    return plain(text, names)


def text_in(message: Mapping[str, Any]) -> str:
    """All that one of our own messages says. While it is streamed, its text stands in its blocks alone."""
    blocks = (block.get("text") for block in message.get("blocks") or () if block.get("type") == "markdown")
    return plain(message.get("text") or "", {}) or "\n".join(filter(None, blocks))


def own_words(text: str, *, has_header: bool = True, has_notes: bool = True) -> str:
    """The model's part of one of our own messages: without the header above it and the notes below."""
    text = plain(text, {})
    if has_header:
        text = HEADER.sub("", text)
    while has_notes and (shorter := NOTE.sub("", text)) != text:
        text = shorter
    return text.replace("\u200b", "").strip()


def escaped(text: str) -> str:
    """Text for a field that Slack reads its own markup in."""
    for entity, char in reversed(ENTITIES):
        text = text.replace(char, entity)
    return text


def plain(text: str, names: Mapping[str, str]) -> str:
    """Text without Slack's markup."""

    def named(match: re.Match[str]) -> str:
        kind, what, label = match.groups()
        if kind == "@":
            return f"@{names.get(what) or label or 'somebody'}"
        if kind == "#":
            return f"#{label or 'a channel'}"
        if kind == "!":
            return label or f"@{what.partition('^')[0]}"
        url = what.removeprefix("mailto:")
        return url if label in (None, "", url) else f"{label} ({url})"

    text = MARKUP.sub(named, text)
    for entity, char in ENTITIES:
        text = text.replace(entity, char)
    return text.strip()
