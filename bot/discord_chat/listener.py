"""Which messages are meant for the bot, and what it makes of them: a question with its conversation and places.

Mentions, replies with a ping and DMs reach it always; the rest of its threads and free-talk channels only where the
application has the Message Content intent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

import aiohttp
import discord

from bot.chat.bindings import Bindings
from bot.chat.faces import Faces
from bot.chat.free_talk import FreeTalk
from bot.chat.platform import IncomingMessage
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.chat.sliding_window import SlidingWindow
from bot.chat.wording import is_silent, sentence_of
from bot.discord_chat.calls import UNREADABLE
from bot.discord_chat.channel_screen import ChannelScreen
from bot.discord_chat.connection import Connection
from bot.discord_chat.history import PARENT_HIDDEN, SPOKEN, History
from bot.discord_chat.identity import Identities
from bot.discord_chat.names import SOURCE, is_in_guild, message_key, places_of, user_id
from bot.discord_chat.screens import DiscordScreen
from bot.discord_chat.wording import is_role_of
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store

ONLY_MENTIONS = "Discord shows me only what mentions me"
UNREADABLE_REPLY = f"I cannot read your reply, because {ONLY_MENTIONS}; leave @ ON when you reply, or mention {{name}}."
UNREADABLE_REPLY_TO_FACE = f"I cannot read replies to this face, because {ONLY_MENTIONS}; mention {{name}} in yours."
ONLY_ROLE_NAMED = f"I cannot read this, because {ONLY_MENTIONS}; you mentioned my role, so mention {{name}} instead."
TOLD_AGAIN_AFTER_S = 3600.0
NOT_TEXT = "I can read text only so far; write what it is about."

logger = logging.getLogger(__name__)


class Listener:
    """Hears every message once; `hear` it."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        replies: RunningReplies,
        history: History,
        identities: Identities,
        faces: Faces,
        bindings: Bindings,
        free_talk: FreeTalk,
    ) -> None:
        self._connection = connection
        self._store = store
        self._replies = replies
        self._history = history
        self._identities = identities
        self._faces = faces
        self._bindings = bindings
        self._free_talk = free_talk
        self._told = SlidingWindow(time.monotonic, TOLD_AGAIN_AFTER_S)
        self._typing: set[asyncio.Task[None]] = set()

    async def hear(self, message: discord.Message) -> None:
        """Answer a message that is meant for the bot."""
        if message.type not in SPOKEN or message.webhook_id is not None or message.author.id == self._connection.own_id:
            return
        with self._replies.busy():
            await self._hear(message)

    async def _hear(self, message: discord.Message) -> None:
        is_meant = self._is_called(message)
        try:
            with self._replies.recording(message_key(message.channel.id, message.id)):
                place_ids = places_of(message.channel)
                is_free_talk = await self._is_free_talk(message, place_ids)
                is_meant = is_meant or is_free_talk or await self._is_reply_to_us(message)
                if is_meant:
                    await self._answer(message, place_ids, is_free_talk=is_free_talk)
        except PersonasError as error:
            if is_meant and not message.author.bot:
                await self.say_why_not(message, error)

    async def question_in(self, message: discord.Message, event_id: str, *, is_free_talk: bool) -> IncomingMessage:
        """What this message asks, with its conversation. Raises ScreenUnreachable."""
        place_ids = places_of(message.channel)
        return IncomingMessage.ending(
            await self._history.read(message, is_free_talk=is_free_talk),
            source=SOURCE,
            event_id=event_id,
            user_id=user_id(message.author),
            places=place_ids,
            needs_permission=is_in_guild(place_ids),  # of its administrators
            question_id=message_key(message.channel.id, message.id),
            is_bot=message.author.bot,
        )

    async def screen_for(self, question: discord.Message, reply: PendingReply) -> DiscordScreen:
        """Where the reply to a message is shown."""
        return await self._identities.screen(question.channel, question.channel.id, reply, question)

    async def say_why_not(self, message: discord.Message, error: PersonasError) -> None:
        """Tell the person who wrote a message why it gets no answer, where they are to know."""
        if not is_silent(error):
            await self.say(message, sentence_of(error))

    async def say(self, message: discord.Message, sentence: str) -> None:
        """Say something in answer to a message."""
        try:
            await ChannelScreen(message.channel, message.channel.id, question=message).post(sentence)
        except UNREADABLE as error:  # deleted meanwhile, or writing is not allowed here
            logger.info("A word could not be said: %s", error)

    async def _answer(self, message: discord.Message, place_ids: tuple[str, ...], *, is_free_talk: bool) -> None:
        """Raises NotAllowed and TooFast, before anything is read."""
        event_id, author = f"message:{message.id}", user_id(message.author)
        if self._is_unread(message) and not self._is_to_be_told(message):
            return
        if not self._replies.admit(event_id, author, place_ids, is_bot=message.author.bot):
            return
        if self._is_unread(message):
            await self._answer_unread(message)
            return
        self._type(message.channel)
        question = await self.question_in(message, event_id, is_free_talk=is_free_talk)
        if question.transcript is None or not question.transcript.is_question:
            await self._answer_silence(message, question)
            return
        await self._replies.answer(question, partial(self.screen_for, message), refuse=partial(self.say, message))

    async def _is_free_talk(self, message: discord.Message, place_ids: tuple[str, ...]) -> bool:
        """Whether every message here is answered, and this one is meant for nobody else."""
        if message.guild is None or message.author.bot or self._is_for_others(message):
            return False
        return await self.is_free_talk_in(message.channel, place_ids)

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

    def _is_called(self, message: discord.Message) -> bool:
        """Whether the message alone, without a look into the store, says that it is meant for the bot."""
        own_id = self._connection.own_id
        is_role_named = any(is_role_of(own_id, role) for role in message.role_mentions)
        return message.guild is None or self._is_mentioned(message) or is_role_named

    def _is_mentioned(self, message: discord.Message) -> bool:
        return any(user.id == self._connection.own_id for user in message.mentions)

    def _is_unread(self, message: discord.Message) -> bool:
        """Whether Discord keeps the words of this message to itself."""
        return not (self._connection.has_message_content or message.guild is None or self._is_mentioned(message))

    def _is_for_others(self, message: discord.Message) -> bool:
        """Whether it mentions or replies to others, and not the bot."""
        if self._is_called(message):
            return False
        if message.mentions or message.role_mentions or message.mention_everyone:
            return True
        return self._history.others_parent(message) is not None

    async def _is_reply_to_us(self, message: discord.Message) -> bool:
        """A reply to an answer, without a ping or to a webhook's post, which cannot be pinged."""
        reference = message.reference
        if message.author.bot or reference is None or reference.message_id is None:
            return False
        if message.type is not discord.MessageType.reply:  # what is forwarded has a reference, too
            return False
        if self._history.others_parent(message) is not None:
            return False
        async with self._store.read() as session:
            key = message_key(reference.channel_id, reference.message_id)
            return await exchanges.find_by_delivery(session, SOURCE, key) is not None

    async def _answer_silence(self, message: discord.Message, question: IncomingMessage) -> None:
        """Somebody calls, but there are no words to answer."""
        if message.author.bot:
            return
        remarks = () if question.transcript is None else question.transcript.remarks
        if any(remark != PARENT_HIDDEN for remark in remarks):
            await self.say(message, NOT_TEXT)
        elif PARENT_HIDDEN in remarks:
            await self.say(message, PARENT_HIDDEN)
        elif self._is_called(message):
            await self.say(message, self._faces.greeting(await self._bindings.model_in(question.places)))

    def _is_to_be_told(self, message: discord.Message) -> bool:
        """Whether a person is told that the bot cannot read this. Not at each reply: they may talk to the others."""
        if message.author.bot:
            return False
        return self._is_called(message) or self._told.wait_s(self._told_key(message), 1) <= 0

    async def _answer_unread(self, message: discord.Message) -> None:
        """Somebody means the bot, but what they wrote it cannot know."""
        self._told.add(self._told_key(message))
        await self.say(message, self._why_unread(message).format(name=f"<@{self._connection.own_id}>"))

    def _told_key(self, message: discord.Message) -> str:
        return f"{user_id(message.author)} {message.channel.id} {self._why_unread(message)}"

    def _why_unread(self, message: discord.Message) -> str:
        if self._is_called(message):
            return ONLY_ROLE_NAMED
        parent = None if message.reference is None else message.reference.resolved
        is_face = isinstance(parent, discord.Message) and parent.webhook_id is not None
        return UNREADABLE_REPLY_TO_FACE if is_face else UNREADABLE_REPLY

    def _type(self, channel: discord.abc.Messageable) -> None:
        """Show at once that the bot has heard, without waiting for it."""

        async def show() -> None:
            try:
                await channel.typing()
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                logger.debug("No typing indicator: %s", error)

        task = asyncio.create_task(show())
        self._typing.add(task)
        task.add_done_callback(self._typing.discard)
