"""👍 and 👎 as reactions on Discord, as raw events: given, taken back, swept away by a moderator."""

from __future__ import annotations

import asyncio

import discord
from discord.ext import commands as prefix_commands

from bot.chat.platform import ScreenGone
from bot.chat.replies import RunningReplies
from bot.chat.thumbs import Thumbs
from bot.discord_chat.calls import RouteClosed, attempt
from bot.discord_chat.connection import Connection
from bot.discord_chat.names import SOURCE, message_key, split_key, user_id
from core.names import parse_person
from core.store.db import Store

REACTION = f"{SOURCE}:reaction"
"""Where the judgement was given: apart from the buttons', so that only reactions are taken back with reactions."""

LABELS = {"👍": True, "👎": False}
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def label_of(emoji: discord.PartialEmoji | discord.Emoji | str) -> bool | None:
    """What an emoji says of a reply: True for a thumb up in any skin, False for a thumb down, None for all others."""
    if not isinstance(emoji, str):
        if emoji.id is not None:  # a server's own, whatever it is called
            return None
        emoji = emoji.name
    return LABELS.get(emoji.rstrip(f"{SKIN_TONES}\ufe0f"))


class Reactions:
    """`listen` puts it on a bot. `needs_catch_up` is set where an event could not be taken in."""

    def __init__(
        self, connection: Connection, store: Store, replies: RunningReplies, needs_catch_up: asyncio.Event
    ) -> None:
        self._connection = connection
        self._thumbs = Thumbs(store, SOURCE, replies, self._read, needs_catch_up)

    def listen(self, bot: prefix_commands.AutoShardedBot) -> None:
        bot.add_listener(self.on_add, "on_raw_reaction_add")
        bot.add_listener(self.on_remove, "on_raw_reaction_remove")
        bot.add_listener(self.on_clear, "on_raw_reaction_clear")
        bot.add_listener(self.on_clear_emoji, "on_raw_reaction_clear_emoji")

    async def on_add(self, event: discord.RawReactionActionEvent) -> None:
        label = label_of(event.emoji)
        is_of_bot = event.user_id == self._connection.own_id or (event.member is not None and event.member.bot)
        if label is None or is_of_bot or self._is_elsewhere(event.message_author_id):
            return
        key, age_s = message_key(event.channel_id, event.message_id), _age_s(event.message_id)
        await self._thumbs.give(key, user_id(discord.Object(event.user_id)), label=label, age_s=age_s)

    async def on_remove(self, event: discord.RawReactionActionEvent) -> None:
        label = label_of(event.emoji)
        if label is not None and event.user_id != self._connection.own_id:
            await self._take_back(event, label, only=user_id(discord.Object(event.user_id)))

    async def on_clear(self, event: discord.RawReactionClearEvent) -> None:
        await self._take_back(event)

    async def on_clear_emoji(self, event: discord.RawReactionClearEmojiEvent) -> None:
        label = label_of(event.emoji)
        if label is not None:
            await self._take_back(event, label)

    async def read_again(self, exchange_id: str) -> None:
        """Let what is kept agree with the thumbs that stand under a reply. Raises StoreUnavailable."""
        await self._thumbs.read_again(exchange_id)

    async def _take_back(
        self,
        event: discord.RawReactionActionEvent | discord.RawReactionClearEvent | discord.RawReactionClearEmojiEvent,
        label: bool | None = None,
        only: str | None = None,
    ) -> None:
        key, age_s = message_key(event.channel_id, event.message_id), _age_s(event.message_id)
        await self._thumbs.take_back(key, age_s=age_s, label=label, only=only)

    def _is_elsewhere(self, author_id: int | None) -> bool:
        """Whether a message is known to be another's. Of a webhook's, Discord names no author."""
        return author_id is not None and author_id != self._connection.own_id

    async def _read(self, key: str, only: str | None = None) -> list[tuple[str, bool]]:
        """Who has given a message which thumb, without bots: everybody, or one person."""
        person = None if only is None else int(parse_person(only).id)
        try:
            return await attempt(lambda: self._thumbs_on(key, person))
        except RouteClosed as error:
            raise ScreenGone("The message was deleted.") from error

    async def _thumbs_on(self, key: str, only: int | None) -> list[tuple[str, bool]]:
        """Raises what discord.py does."""
        channel_id, message_id = split_key(key)
        message = await self._connection.client.get_partial_messageable(channel_id).fetch_message(message_id)
        found: list[tuple[str, bool]] = []
        for reaction in message.reactions:
            label = label_of(reaction.emoji)
            if label is None:
                continue
            before = None if only is None else discord.Object(only - 1)  # Discord lists people by their ids
            for kind, count in (
                (discord.ReactionType.normal, reaction.normal_count),
                (discord.ReactionType.burst, reaction.burst_count),
            ):
                limit = count if only is None else min(count, 1)
                users = [user async for user in reaction.users(limit=limit, after=before, type=kind)]
                found += [(user_id(user), label) for user in users if not user.bot and only in (None, user.id)]
        return found


def _age_s(message_id: int) -> float:
    return (discord.utils.utcnow() - discord.utils.snowflake_time(message_id)).total_seconds()
