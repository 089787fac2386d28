"""Which messages are meant for the bot, and what the shared rules need to know of one.

Mentions, replies with a ping and DMs reach it always; the rest of its threads and free-talk channels only where the
application has the Message Content intent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import discord

from bot.chat.conversation import Transcript
from bot.chat.free_talk import FreeTalk
from bot.chat.platform import ReplyScreen, ScreenGone, ScreenRefused
from bot.chat.questions import Questions
from bot.chat.replies import MakeScreen
from bot.chat.responder import PendingReply
from bot.chat.sliding_window import SlidingWindow
from bot.discord_chat.calls import UNREADABLE
from bot.discord_chat.channel_screen import ChannelScreen
from bot.discord_chat.connection import Connection
from bot.discord_chat.history import SPOKEN, History
from bot.discord_chat.identity import Identities
from bot.discord_chat.names import SOURCE, channel_place, is_in_guild, message_key, places_of, user_id
from bot.discord_chat.wording import is_role_of
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

ONLY_MENTIONS = "Discord shows me only what mentions me"
UNREADABLE_REPLY = f"I cannot read your reply, because {ONLY_MENTIONS}; leave @ ON when you reply, or mention {{name}}."
UNREADABLE_REPLY_TO_FACE = f"I cannot read replies to this face, because {ONLY_MENTIONS}; mention {{name}} in yours."
ONLY_ROLE_NAMED = f"I cannot read this, because {ONLY_MENTIONS}; you mentioned my role, so mention {{name}} instead."
TOLD_AGAIN_AFTER_S = 3600.0

logger = logging.getLogger(__name__)


class Listener:
    """Hears every message once; `hear` it."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        questions: Questions,
        history: History,
        identities: Identities,
        free_talk: FreeTalk,
    ) -> None:
        self.history = history
        self.identities = identities
        self._connection = connection
        self._store = store
        self._questions = questions
        self._free_talk = free_talk
        self._told = SlidingWindow(time.monotonic, TOLD_AGAIN_AFTER_S)
        self._typing: set[asyncio.Task[None]] = set()

    async def hear(self, message: discord.Message) -> None:
        """Answer a message that is meant for the bot."""
        if message.type not in SPOKEN or message.webhook_id is not None or message.author.id == self._connection.own_id:
            return
        await self._questions.hear(DiscordQuestion(self, message))

    async def is_followed(self, message: discord.Message) -> bool:
        """Whether a message is meant for the bot that does not call it, and can be answered, if only with a hint."""
        if await self.is_free_talk(message):
            return True
        return self._is_to_be_told(message) and await self._is_reply_to_us(message)

    async def is_free_talk(self, message: discord.Message) -> bool:
        """Whether every message here is answered, and this one is meant for nobody else."""
        if message.guild is None or message.author.bot or self._is_for_others(message):
            return False
        return await self.is_free_talk_in(message.channel, places_of(message.channel))

    async def is_free_talk_in(self, channel: object, place_ids: tuple[str, ...]) -> bool:
        """Whether this channel needs no mention; `place_ids` are it and what is around it.

        A thread that chose nothing itself needs none while the bot is a member.
        """
        if not self._connection.has_message_content:
            return False
        if isinstance(channel, discord.Thread):
            is_member = channel.me is not None  # as it is now: the next message may be what brings the bot in
            chosen = await self._free_talk.chosen_in(place_ids[0])
            return is_member if chosen is None else chosen
        return bool(await self._free_talk.chosen_in(*place_ids))

    def is_called(self, message: discord.Message) -> bool:
        """Whether the message alone, without a look into the store, says that it is meant for the bot."""
        own_id = self._connection.own_id
        is_role_named = any(is_role_of(own_id, role) for role in message.role_mentions)
        return message.guild is None or self._is_mentioned(message) or is_role_named

    def is_unread(self, message: discord.Message) -> bool:
        """Whether Discord keeps the words of this message to itself."""
        return not (self._connection.has_message_content or message.guild is None or self._is_mentioned(message))

    def tell_unread(self, message: discord.Message) -> str:
        """What somebody is told who means the bot, but what they wrote it cannot know."""
        self._told.add(self._told_key(message))
        return self._why_unread(message).format(name=f"<@{self._connection.own_id}>")

    def type(self, channel: discord.abc.Messageable) -> None:
        """Show at once that the bot has heard, without waiting for it."""

        async def show() -> None:
            try:
                await channel.typing()
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                logger.debug("No typing indicator: %s", error)

        task = asyncio.create_task(show())
        self._typing.add(task)
        task.add_done_callback(self._typing.discard)

    def _is_mentioned(self, message: discord.Message) -> bool:
        return any(user.id == self._connection.own_id for user in message.mentions)

    def _is_for_others(self, message: discord.Message) -> bool:
        """Whether it mentions or replies to others, and not the bot."""
        if self.is_called(message):
            return False
        if message.mentions or message.role_mentions or message.mention_everyone:
            return True
        return self.history.others_parent(message) is not None

    async def _is_reply_to_us(self, message: discord.Message) -> bool:
        """A reply to an answer, without a ping or to a webhook's post, which cannot be pinged."""
        reference = message.reference
        if message.author.bot or reference is None or reference.message_id is None:
            return False
        if message.type is not discord.MessageType.reply:  # what is forwarded has a reference, too
            return False
        if self.history.others_parent(message) is not None:
            return False
        async with self._store.read() as session:
            key = message_key(reference.channel_id, reference.message_id)
            return await exchanges.find_by_delivery(session, SOURCE, key) is not None

    def _is_to_be_told(self, message: discord.Message) -> bool:
        """Whether a person is told that the bot cannot read this. Not at each reply: they may talk to the others."""
        return not self.is_unread(message) or self._told.wait_s(self._told_key(message), 1) <= 0

    def _told_key(self, message: discord.Message) -> str:
        return f"{user_id(message.author)} {message.channel.id} {self._why_unread(message)}"

    def _why_unread(self, message: discord.Message) -> str:
        if self.is_called(message):
            return ONLY_ROLE_NAMED
        parent = None if message.reference is None else message.reference.resolved
        is_face = isinstance(parent, discord.Message) and parent.webhook_id is not None
        return UNREADABLE_REPLY_TO_FACE if is_face else UNREADABLE_REPLY


@dataclass(frozen=True, slots=True)
class DiscordQuestion:
    """Implements `bot.chat.questions.Question`."""

    listener: Listener
    message: discord.Message

    @property
    def key(self) -> str:
        return message_key(self.message.channel.id, self.message.id)

    @property
    def user_id(self) -> str:
        return user_id(self.message.author)

    @property
    def is_bot(self) -> bool:
        return self.message.author.bot

    @property
    def is_called(self) -> bool:
        return self.listener.is_called(self.message)

    @property
    def places(self) -> tuple[str, ...]:
        return places_of(self.message.channel)

    @property
    def counted_places(self) -> tuple[str, ...]:
        return self.places

    @property
    def needs_permission(self) -> bool:
        return is_in_guild(self.places)

    async def is_followed(self) -> bool:
        return await self.listener.is_followed(self.message)

    def show_heard(self) -> None:
        if not self.listener.is_unread(self.message):
            self.listener.type(self.message.channel)

    async def read(self, former: Exchange | None = None) -> Transcript:
        if former is None and self.listener.is_unread(self.message):
            return Transcript(self.key, remarks=(self.listener.tell_unread(self.message),))
        if former is None:
            is_free_talk = await self.listener.is_free_talk(self.message)
        else:
            is_free_talk = former.conversation_id == channel_place(self.message.channel.id)
        return await self.listener.history.read(self.message, is_free_talk=is_free_talk)

    async def screen(self, reply: PendingReply) -> ReplyScreen:
        channel = self.message.channel
        return await self.listener.identities.screen(channel, channel.id, reply, self.message)

    async def screen_on(self, onto: Sequence[str]) -> MakeScreen | None:
        """The first message that a screen can change decides."""
        for key in onto:
            if message := await self.listener.history.fetch(key):
                with suppress(ScreenGone, ScreenRefused):
                    await self.listener.identities.screen_of(message, "base")
                    return _rewriting(self.listener.identities, message)
        return None

    async def say(self, sentence: str, *, model: str | None = None) -> object:
        try:
            return await ChannelScreen(self.message.channel, self.message.channel.id, question=self.message).post(
                sentence
            )
        except UNREADABLE as error:  # deleted meanwhile, or writing is not allowed here
            logger.info("A word could not be said: %s", error)
            return None


def _rewriting(identities: Identities, message: discord.Message) -> MakeScreen:
    async def make_screen(reply: PendingReply) -> ReplyScreen:
        return await identities.screen_of(message, reply.model)

    return make_screen
