"""Which messages are meant for the bot, and what it makes of them: a question with its conversation, places and screen.

Mentions, replies with a ping and DMs reach it always; the rest of its threads and free-talk channels only where the
application has the Message Content intent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import aiohttp
import discord

from bot.access import is_silent
from bot.discord_chat import places
from bot.discord_chat.asks import Ask
from bot.discord_chat.context import SPOKEN
from bot.discord_chat.free_talk import FreeTalk
from bot.discord_chat.refusals import UNREADABLE, sentence_of
from bot.discord_chat.said import PARENT_HIDDEN, Said
from bot.discord_chat.screens import ChannelScreen
from bot.discord_chat.wording import is_role_of
from bot.sliding_window import SlidingWindow
from core.errors import PersonasError
from core.store import exchanges

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

ONLY_MENTIONS = "Discord shows me only what mentions me"
UNREADABLE_REPLY = f"I cannot read your reply, because {ONLY_MENTIONS}; leave @ ON when you reply, or mention {{name}}."
UNREADABLE_REPLY_TO_FACE = f"I cannot read replies to this face, because {ONLY_MENTIONS}; mention {{name}} in yours."
ONLY_ROLE_NAMED = f"I cannot read this, because {ONLY_MENTIONS}; you mentioned my role, so mention {{name}} instead."
TOLD_AGAIN_AFTER_S = 3600.0
NOT_TEXT = "I can read text only so far; write what it is about."

logger = logging.getLogger(__name__)


class Hearing:
    """Hears every message of a chat; `hear` it once."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._told = SlidingWindow(time.monotonic, TOLD_AGAIN_AFTER_S)
        self._typing: set[asyncio.Task[None]] = set()
        self.free_talk = FreeTalk(chat)

    async def hear(self, message: discord.Message) -> None:
        """Answer a message that is meant for the bot."""
        if message.type not in SPOKEN or message.webhook_id is not None or message.author.id == self._chat.own_id:
            return
        is_meant = self._is_called(message)
        try:
            with self._chat.talking.coming(places.message_key(message.channel.id, message.id)):
                place_ids = places.places_of(message.channel)
                is_free_talk = await self._is_free_talk(message, place_ids)
                is_meant = is_meant or is_free_talk or await self._is_reply_to_us(message)
                if is_meant:
                    await self._answer(message, place_ids, is_free_talk=is_free_talk)
        except PersonasError as error:
            if is_meant and not (message.author.bot or is_silent(error)):
                await self._say(message, sentence_of(error))

    async def ask_of(
        self, message: discord.Message, place_ids: tuple[str, ...], event_id: str, *, is_free_talk: bool
    ) -> Ask:
        """The question that this message asks, with its conversation."""
        model, identity = await self._chat.talking.chosen_in(place_ids)
        return Ask(
            user_id=places.user_id(message.author),
            user_name=message.author.display_name,
            event_id=event_id,
            said=await self._chat.context.said(message, is_free_talk=is_free_talk),
            places=place_ids,
            model=model,
            identity=identity,
            question_id=places.message_key(message.channel.id, message.id),
            is_bot=message.author.bot,
        )

    async def _answer(self, message: discord.Message, place_ids: tuple[str, ...], *, is_free_talk: bool) -> None:
        if self._is_unread(message):
            await self._answer_unread(message, place_ids)
            return
        if self._chat.access.lets(places.user_id(message.author), place_ids, is_bot=message.author.bot):
            self._type(message.channel)
        ask = await self.ask_of(message, place_ids, f"message:{message.id}", is_free_talk=is_free_talk)
        if not is_question(ask.said):
            await self._answer_silence(message, ask)
            return
        screen = await self._chat.identities.screen(
            message.channel,
            message.channel.id,
            model=ask.model or "",
            identity=ask.identity,
            place_ids=place_ids,
            question=message,
        )
        await self._chat.talking.answer(ask, screen, row=self._chat.bot.row)

    async def _is_free_talk(self, message: discord.Message, place_ids: tuple[str, ...]) -> bool:
        """Whether every message here is answered, and this one is meant for nobody else."""
        if message.guild is None or message.author.bot or self._is_for_others(message):
            return False
        return await self.free_talk.is_on(message.channel, place_ids)

    def _is_called(self, message: discord.Message) -> bool:
        """Whether the message alone, without a look into the store, says that it is meant for the bot."""
        own_id = self._chat.own_id
        is_role_named = any(is_role_of(own_id, role) for role in message.role_mentions)
        return message.guild is None or self._is_mentioned(message) or is_role_named

    def _is_mentioned(self, message: discord.Message) -> bool:
        return any(user.id == self._chat.own_id for user in message.mentions)

    def _is_unread(self, message: discord.Message) -> bool:
        """Whether Discord keeps the words of this message to itself."""
        return not (self._chat.has_message_content or message.guild is None or self._is_mentioned(message))

    def _is_for_others(self, message: discord.Message) -> bool:
        """Whether it mentions or replies to others, and not the bot."""
        if self._is_called(message):
            return False
        if message.mentions or message.role_mentions or message.mention_everyone:
            return True
        return self._chat.context.others_parent(message) is not None

    async def _is_reply_to_us(self, message: discord.Message) -> bool:
        """A reply to an answer, without a ping or to a webhook's post, which cannot be pinged."""
        reference = message.reference
        if message.author.bot or reference is None or reference.message_id is None:
            return False
        if self._chat.context.others_parent(message) is not None:
            return False
        async with self._chat.service.store.read() as session:
            key = places.message_key(reference.channel_id, reference.message_id)
            return await exchanges.find_by_delivery(session, places.SOURCE, key) is not None

    async def _answer_silence(self, message: discord.Message, ask: Ask) -> None:
        """Somebody calls, but there are no words to answer. Raises NotAllowed and TooFast."""
        if message.author.bot or self._chat.talking.is_known(ask.event_id):
            return
        self._chat.access.check(ask.user_id, ask.places)
        if ask.said.has_files or message.stickers:
            await self._say(message, NOT_TEXT)
        elif ask.said.is_parent_hidden:
            await self._say(message, PARENT_HIDDEN)
        elif self._is_called(message):
            await self._say(message, self._chat.identities.greeting(ask.model or ""))

    async def _answer_unread(self, message: discord.Message, place_ids: tuple[str, ...]) -> None:
        """Somebody means the bot, but what they wrote it cannot know. Raises NotAllowed and TooFast."""
        if message.author.bot or self._chat.talking.is_known(f"message:{message.id}"):
            return
        author, sentence = places.user_id(message.author), self._why_unread(message)
        told = f"{author} {message.channel.id} {sentence}"
        if not self._is_called(message) and self._told.wait_s(told, 1) > 0:
            return  # who goes on replying may have been talking to the others
        self._chat.access.check(author, place_ids)
        self._told.add(told)
        await self._say(message, sentence.format(name=f"<@{self._chat.own_id}>"))

    def _why_unread(self, message: discord.Message) -> str:
        if self._is_called(message):
            return ONLY_ROLE_NAMED
        parent = None if message.reference is None else message.reference.resolved
        is_face = isinstance(parent, discord.Message) and parent.webhook_id is not None
        return UNREADABLE_REPLY_TO_FACE if is_face else UNREADABLE_REPLY

    async def _say(self, message: discord.Message, sentence: str) -> None:
        try:
            await ChannelScreen(message.channel, message.channel.id, question=message).post(sentence)
        except UNREADABLE as error:  # deleted meanwhile, or writing is not allowed here
            logger.info("A word could not be said: %s", error)

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


def is_question(said: Said) -> bool:
    """Whether the last word is a person's."""
    return bool(said.turns) and said.turns[-1].role == "user"
