"""Which messages are meant for the bot, and what it makes of them: a question with its conversation, places and screen.

Mentions, replies with a ping and DMs reach it always; the rest of its threads and free-talk channels only where the
application has the Message Content intent.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import discord

from bot.access import is_silent
from bot.discord_chat import places
from bot.discord_chat.context import SPOKEN, Said
from bot.discord_chat.refusals import sentence_of
from bot.discord_chat.screens import PINGS_NOBODY
from bot.discord_chat.talking import Ask
from core.errors import PersonasError
from core.store import exchanges
from core.store import places as place_rows

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

UNREADABLE_REPLY = (
    "I cannot read replies to this face, because Discord shows me only what mentions me; mention {name} in your reply."
)
NOT_TEXT = "I can read text only so far; write what it is about."

logger = logging.getLogger(__name__)


class Hearing:
    """Hears every message of a chat; `hear` it once."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._told: set[int] = set()
        self._typing: set[asyncio.Task[None]] = set()
        self._free_talk: dict[tuple[str, ...], bool] = {}

    async def hear(self, message: discord.Message) -> None:
        """Answer a message that is meant for the bot."""
        if message.type not in SPOKEN or message.webhook_id is not None or message.author.id == self._chat.own_id:
            return
        try:
            place_ids = places.places_of(message.channel)
            is_free_talk = await self._is_free_talk(message, place_ids)
            if not (is_free_talk or await self._is_addressed(message)):
                return
            self._type(message.channel)
            await self._answer(message, place_ids, is_free_talk=is_free_talk)
        except PersonasError as error:
            if self._is_called(message) and not (message.author.bot or is_silent(error)):
                await self._say(message, sentence_of(error))

    def forget_free_talk(self) -> None:
        """What places chose has changed; look it up again. A look-up under way ends in the former dict."""
        self._free_talk = {}

    async def ask_of(
        self, message: discord.Message, place_ids: tuple[str, ...], event_id: str, *, is_free_talk: bool
    ) -> Ask:
        """The question that this message asks, with its conversation."""
        return Ask(
            user_id=places.user_id(message.author),
            user_name=message.author.display_name,
            event_id=event_id,
            said=await self._chat.context.said(message, is_free_talk=is_free_talk),
            places=place_ids,
            model=await self._chat.talking.model_for(place_ids),
            question_id=places.message_key(message.channel.id, message.id),
            is_bot=message.author.bot,
        )

    async def _answer(self, message: discord.Message, place_ids: tuple[str, ...], *, is_free_talk: bool) -> None:
        ask = await self.ask_of(message, place_ids, f"message:{message.id}", is_free_talk=is_free_talk)
        if not is_question(ask.said):
            await self._answer_silence(message, ask)
            return
        screen = await self._chat.identities.screen(
            message.channel, message.channel.id, model=ask.model or "", place_ids=place_ids, question=message
        )
        await self._chat.talking.answer(ask, screen, row=self._chat.bot.row)

    async def _is_free_talk(self, message: discord.Message, place_ids: tuple[str, ...]) -> bool:
        """Whether every message here is answered, and this one is meant for nobody else."""
        if not self._chat.has_message_content or message.guild is None or message.author.bot:
            return False
        if isinstance(message.channel, discord.Thread) or self._is_for_others(message):
            return False
        known = self._free_talk  # every message of every server comes by here
        if place_ids not in known:
            async with self._chat.service.store.session() as session:
                known[place_ids] = (await place_rows.settings_of(session, *place_ids)).is_free_talk
        return known[place_ids]

    async def _is_addressed(self, message: discord.Message) -> bool:
        if self._is_called(message):
            return True
        if await self._is_reply_to_us(message):
            return True
        return (
            self._chat.has_message_content
            and isinstance(message.channel, discord.Thread)
            and message.channel.me is not None
            and not message.author.bot
            and not self._is_for_others(message)
        )

    def _is_called(self, message: discord.Message) -> bool:
        """Whether the message alone, without a look into the store, says that it is meant for the bot."""
        return message.guild is None or any(user.id == self._chat.own_id for user in message.mentions)

    def _is_for_others(self, message: discord.Message) -> bool:
        """Whether it mentions or replies to somebody else, and not the bot."""
        if any(user.id == self._chat.own_id for user in message.mentions):
            return False
        if message.mentions:
            return True
        parent = message.reference.resolved if message.reference is not None else None
        return isinstance(parent, discord.Message) and not self._chat.context.is_own(parent)

    async def _is_reply_to_us(self, message: discord.Message) -> bool:
        """A reply to an answer, without a ping or to a webhook's post, which cannot be pinged."""
        reference = message.reference
        if message.author.bot or reference is None or reference.message_id is None:
            return False
        parent = reference.resolved
        if isinstance(parent, discord.Message) and not self._chat.context.is_own(parent):
            return False
        async with self._chat.service.store.session() as session:
            key = places.message_key(reference.channel_id, reference.message_id)
            return await exchanges.find_by_delivery(session, places.SOURCE, key) is not None

    async def _answer_silence(self, message: discord.Message, ask: Ask) -> None:
        """Somebody calls, but there are no words to answer. Raises NotAllowed and TooFast."""
        if message.author.bot or self._chat.talking.is_known(ask.event_id):
            return
        self._chat.access.check(ask.user_id, ask.places)
        if message.attachments or message.stickers:
            await self._say(message, NOT_TEXT)
        elif self._is_called(message):
            await self._say(message, self._chat.identities.greeting(ask.model or ""))
        elif not self._chat.has_message_content and message.channel.id not in self._told:
            self._told.add(message.channel.id)
            await self._say(message, UNREADABLE_REPLY.format(name=f"<@{self._chat.own_id}>"))

    async def _say(self, message: discord.Message, sentence: str) -> None:
        try:
            await message.reply(sentence, allowed_mentions=PINGS_NOBODY, mention_author=False)
        except discord.HTTPException as error:  # deleted meanwhile, or writing is not allowed here
            logger.info("A word could not be said: %s", error)

    def _type(self, channel: discord.abc.Messageable) -> None:
        """Show at once that the bot has heard, without waiting for it."""

        async def show() -> None:
            try:
                await channel.typing()
            except discord.HTTPException as error:
                logger.debug("No typing indicator: %s", error)

        task = asyncio.create_task(show())
        self._typing.add(task)
        task.add_done_callback(self._typing.discard)


def is_question(said: Said) -> bool:
    """Whether the last word is a person's."""
    return bool(said.turns) and said.turns[-1].role == "user"
