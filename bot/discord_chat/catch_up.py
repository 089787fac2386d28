"""Takes in what happened while no event told of it: servers, channels and messages that are gone, and thumbs.

Discord tells a new session nothing of the time before it, and what comes while the store is out of order may be lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

import discord
from discord.ext import commands as prefix_commands

from bot.chat.mending import keep_up
from bot.discord_chat.calls import UNREADABLE, ChannelGone, MessageGone, attempt
from bot.discord_chat.connection import CAPABILITIES, Connection
from bot.discord_chat.names import CHANNEL, GUILD, SOURCE, THREAD, guild_place, id_of, is_message, prefix_of, split_key
from bot.discord_chat.reactions import REACTION, Reactions, label_of
from bot.discord_chat.removals import Removals
from core.store import exchanges, feedback, places
from core.store.db import Store

SHOWN_WITHIN_S = 7 * 24 * 3600.0  # older replies are seldom judged or deleted, and every message costs a look
MAX_SHOWN = 20_000
MAX_CHANNELS = 200
MAX_MESSAGES = 500  # that are looked for in a channel
PER_PAGE = 100  # as many messages as Discord gives at once
PAUSE_S = 1.0  # between two channels

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known of a channel: the messages that can be missed there, and those that show which reply."""

    public: set[int] = field(default_factory=set)
    exchange_of: dict[int, str] = field(default_factory=dict)


class CatchUp:
    """`listen`, then `keep_up`: after every session that begins from nothing, and when an event was missed.

    That something is gone is believed only where Discord says so when asked for it alone: a channel without the right
    to read its history looks like an empty one, and what cannot be read at the moment says nothing.
    """

    def __init__(
        self,
        connection: Connection,
        store: Store,
        removals: Removals,
        reactions: Reactions,
        needs_catch_up: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._store = store
        self._removals = removals
        self._reactions = reactions
        self._needs_catch_up = needs_catch_up

    def listen(self, bot: prefix_commands.AutoShardedBot) -> None:
        bot.add_listener(self.on_shard_ready)

    async def on_shard_ready(self, _shard_id: int) -> None:
        """A session has begun; one that was resumed, which lost nothing, does not come here."""
        self._needs_catch_up.set()

    async def keep_up(self) -> None:
        await keep_up(self._needs_catch_up, self._catch_up, CAPABILITIES.name)

    async def _catch_up(self) -> None:
        await self._connection.client.wait_until_ready()  # before that, servers of other shards seem to be gone
        self._needs_catch_up.clear()  # which every shard sets
        await self._look_for_servers()
        for channel_id, known in (await self._known()).items():
            await self._look_into(channel_id, known)
            await asyncio.sleep(PAUSE_S)
        await self._look_for_channels()

    async def _look_for_servers(self) -> None:
        """Servers may have removed the bot. One that is out of reach at the moment has not."""
        members_of = {guild_place(guild.id) for guild in self._connection.client.guilds}
        async with self._store.read() as session:
            kept = await places.with_something_kept(session, prefix_of(GUILD))
        for place_id in set(kept) - members_of:
            await self._removals.forget_places(place_id)

    async def _look_for_channels(self) -> None:
        """Channels and threads that Discord did not name when it named the server's: archived, hidden or deleted."""
        async with self._store.read() as session:
            kept = await places.with_something_kept_inside(session, prefix_of(CHANNEL), around=prefix_of(GUILD))
            kept += await places.with_something_kept_inside(session, prefix_of(THREAD), around=prefix_of(GUILD))
        unseen = [(place, guild) for place, guild in kept if self._connection.client.get_channel(id_of(place)) is None]
        for place_id, guild_id in random.sample(unseen, min(len(unseen), MAX_CHANNELS)):
            guild = self._connection.client.get_guild(id_of(guild_id))
            if guild is not None and not guild.unavailable and await self._is_channel_gone(id_of(place_id)):
                await self._removals.forget_places(place_id, guild=guild)
            await asyncio.sleep(PAUSE_S)

    async def _known(self) -> dict[int, _Known]:
        """What may be looked for, by channel: those where a reply was shown last come first."""
        since = time.time() - SHOWN_WITHIN_S
        async with self._store.read() as session:
            delivered = await exchanges.shown_since(session, SOURCE, since=since, limit=MAX_SHOWN)
            public = set(filter(is_message, await exchanges.quoted_since(session, SOURCE, since=since)))
        found: defaultdict[int, _Known] = defaultdict(_Known)
        for key, exchange_id, question_key in delivered:
            channel_id, message_id = split_key(key)
            found[channel_id].exchange_of[message_id] = exchange_id
            if question_key:  # the answer to a command may be one that only the asker sees
                public |= {key, question_key}
        for key in public:
            channel_id, message_id = split_key(key)
            found[channel_id].public.add(message_id)
        return dict(list(found.items())[:MAX_CHANNELS])

    async def _look_into(self, channel_id: int, known: _Known) -> None:
        try:
            there = await self._still_there(channel_id, known)
            gone = [one for one in known.public - there.keys() if await self._is_gone(channel_id, one)]
        except UNREADABLE as error:
            logger.info("Channel %d cannot be read, which says nothing of what was there: %s", channel_id, error)
            return
        await self._removals.forget_messages(channel_id, gone)
        answers = {known.exchange_of[one] for one in there.keys() & known.exchange_of.keys()}
        async with self._store.read() as session:
            judged = await feedback.judged_from(session, REACTION, answers)
        for one, message in there.items():
            if any(label_of(reaction.emoji) is not None for reaction in message.reactions) and one in known.exchange_of:
                judged.add(known.exchange_of[one])
        for exchange_id in judged:  # all of them: as many thumbs as before may be other people's
            await self._reactions.read_again(exchange_id)

    async def _still_there(self, channel_id: int, known: _Known) -> dict[int, discord.Message]:
        """The messages of the channel's history around those that are known, skipping what lies far from any."""
        channel = self._connection.client.get_partial_messageable(channel_id)

        async def page_up_to(newest: int) -> list[discord.Message]:
            end = discord.Object(newest + 1)
            return [message async for message in channel.history(limit=PER_PAGE, before=end)]

        there: dict[int, discord.Message] = {}
        left = sorted(known.public | known.exchange_of.keys(), reverse=True)[:MAX_MESSAGES]
        known.public &= set(left)
        while left:
            page = await attempt(partial(page_up_to, left[0]))
            there |= {message.id: message for message in page}
            oldest = page[-1].id if len(page) == PER_PAGE else 0
            left = [one for one in left if one < oldest]
        return there

    async def _is_gone(self, channel_id: int, message_id: int) -> bool:
        """Whether Discord knows no such message any more. Raises what `attempt` does for whatever else it says."""
        channel = self._connection.client.get_partial_messageable(channel_id)
        try:
            await attempt(lambda: channel.fetch_message(message_id))
        except MessageGone:
            return True
        return False

    async def _is_channel_gone(self, channel_id: int) -> bool:
        try:
            await attempt(lambda: self._connection.client.fetch_channel(channel_id))
        except ChannelGone:
            return True
        except UNREADABLE as error:
            logger.debug("Channel %d cannot be seen, which says nothing: %s", channel_id, error)
        return False
