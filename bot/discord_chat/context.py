"""What was said before a message: its reply chain, or the history of its thread, DM or free-talk channel.

Works with what Discord shows the bot: without the Message Content intent that is what mentions it, what it wrote itself
and DMs. Text is remembered in memory only, so that a chain need not be read again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import discord
from sqlalchemy.ext.asyncio import AsyncSession

from bot.conversation import MAX_TURNS, Turn
from bot.discord_chat import places
from bot.discord_chat.wording import own_words, text_of
from core.errors import NotFound
from core.jobs import JobStatus
from core.messages import Quoted
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

RESET_LINE = "-# 🧹 A fresh start: what stands above this line is not part of the conversation any more."
MAX_REMEMBERED = 1000
SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
ANSWERED = (JobStatus.SUCCEEDED, JobStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Said:
    """The turns up to a question. `quotes` are the chat messages whose words stand in them."""

    conversation_id: str
    turns: tuple[Turn, ...] = ()
    quotes: tuple[Quoted, ...] = ()

    def after(self, *former: Turn, quotes: tuple[Quoted, ...] = ()) -> Said:
        """The same with something that was said before."""
        return replace(self, turns=(*former, *self.turns), quotes=(*quotes, *self.quotes))


@dataclass(frozen=True, slots=True)
class _Remembered:
    said: Said
    reply: str


class Context:
    """What the chat's bot has seen and said. It is asked for whenever it is needed: a new connection is a new bot."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()

    def remember(self, exchange_id: str, said: Said, reply: str) -> None:
        """Keep the exact words of an exchange for the next turn, in memory."""
        self._remembered[exchange_id] = _Remembered(said, reply)
        self._remembered.move_to_end(exchange_id)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def forget(self, what: str) -> None:
        """Let go of everything in which this message key, user id or exchange id has a part."""
        self._remembered = OrderedDict(
            (exchange_id, kept)
            for exchange_id, kept in self._remembered.items()
            if what != exchange_id and not any(what in (quote.message_id, quote.user_id) for quote in kept.said.quotes)
        )

    async def said(self, message: discord.Message, *, is_free_talk: bool = False) -> Said:
        """The conversation that this message ends."""
        channel = message.channel
        if isinstance(channel, discord.Thread):
            return await self._history(message, places.thread_place(channel.id))
        if isinstance(channel, discord.DMChannel):
            return await self._history(message, places.dm_conversation(channel.id))
        if is_free_talk:
            return await self._history(message, places.channel_place(channel.id))
        return await self._chain(message)

    async def again(self, exchange: Exchange) -> Said:
        """The conversation that this exchange answered. Raises NotFound when its question is gone."""
        if kept := self._remembered.get(exchange.id):
            return kept.said
        if exchange.question_id is not None:
            question = await self.fetch(exchange.question_id)
            if question is not None and text_of(question, self._chat.own_id):
                is_free_talk = exchange.conversation_id == places.channel_place(question.channel.id)
                return await self.said(question, is_free_talk=is_free_talk)
        elif exchange.prompt:
            turns = tuple(Turn(turn["role"], "", turn["content"]) for turn in exchange.prompt)
            return Said(exchange.conversation_id, turns)
        raise NotFound("The question behind this answer is gone or cannot be read any more; ask it again.")

    @property
    def _client(self) -> discord.Client:
        return self._chat.bot

    @property
    def _store(self) -> Store:
        return self._chat.service.store

    def is_own(self, message: discord.Message) -> bool:
        """Whether the bot wrote it, itself or through its webhook."""
        if message.webhook_id is not None:
            return message.application_id == self._client.application_id
        return message.author.id == self._chat.own_id

    def _own(self, message: discord.Message) -> tuple[Quoted, ...]:
        return (Quoted(places.message_key(message.channel.id, message.id), ""),)

    def _spoken(self, message: discord.Message, conversation_id: str) -> Said:
        """A person's message as a turn; none where Discord shows no text."""
        text = text_of(message, self._chat.own_id)
        if not text:
            return Said(conversation_id)
        key = places.message_key(message.channel.id, message.id)
        turn = Turn("user", message.author.display_name, text)
        return Said(conversation_id, (turn,), (Quoted(key, places.user_id(message.author)),))

    async def _chain(self, message: discord.Message) -> Said:
        """Walk up the replies; the conversation is named for the first message that was reached."""
        said = self._spoken(message, places.chain_conversation(message.id))
        current: discord.Message | None = await self._parent(message)
        seen = {message.id}
        while current is not None and current.id not in seen and len(said.turns) < MAX_TURNS:
            seen.add(current.id)
            exchange = await self._exchange(current) if self.is_own(current) else None
            if exchange is not None and (kept := self._remembered.get(exchange.id)):
                said = said.after(Turn("assistant", "", kept.reply), quotes=self._own(current))
                said = said.after(*kept.said.turns, quotes=kept.said.quotes)
                return replace(said, conversation_id=kept.said.conversation_id)
            if exchange is not None:
                said = said.after(*await self._reply_turns(exchange, current), quotes=self._own(current))
                current = await self._question(exchange) or await self._parent(current)
                continue
            spoken = self._spoken(current, said.conversation_id)
            said = said.after(*spoken.turns, quotes=spoken.quotes)
            said = replace(said, conversation_id=places.chain_conversation(current.id))
            current = await self._parent(current)
        return said

    async def _reply_turns(self, exchange: Exchange, page: discord.Message) -> tuple[Turn, ...]:
        """An answer of ours as one turn, whichever page of it was replied to."""
        if exchange.status not in ANSWERED:
            return ()
        text = exchange.reply
        if text is None:
            text = await self._shown_words(exchange, page)
        return (Turn("assistant", "", text),) if text and text.strip() else ()

    async def reply_of(self, exchange: Exchange) -> str | None:
        """What a reply said: remembered, kept, or read from the messages that show it; None where it is gone."""
        text = self.exact_reply_of(exchange)
        return await self._shown_words(exchange) if text is None else text

    async def _shown_words(self, exchange: Exchange, *known: discord.Message) -> str | None:
        """What the messages of a reply say, as far as they can be read; None where there are none."""
        async with self._store.session() as session:
            keys = [delivery.message_id for delivery in await exchanges.deliveries_of(session, exchange.id)]
        at_hand = {places.message_key(page.channel.id, page.id): page for page in known}
        pages = [at_hand.get(key) or await self.fetch(key) for key in keys]
        words = [own_words(shown.content) for shown in pages if shown is not None]
        return "\n".join(words) if words else None

    async def _history(self, message: discord.Message, conversation_id: str) -> Said:
        """What was said in a thread, DM or free-talk channel, up to its last reset."""
        said = self._spoken(message, conversation_id)
        try:
            earlier = [found async for found in message.channel.history(limit=MAX_TURNS, before=message)]
        except discord.HTTPException:  # no right to read the history, or the channel is gone
            earlier = []
        async with self._store.session() as session:
            shown = {found.id: await self._find(session, found) for found in earlier if self.is_own(found)}
        told: set[str] = set()
        for found in earlier:
            if found.id not in shown:
                said = self._before(said, found)
            elif found.content == RESET_LINE:
                break
            elif (exchange := shown[found.id]) is not None and exchange.id not in told:
                text = self.exact_reply_of(exchange)
                if text is not None:
                    told.add(exchange.id)
                elif exchange.status in ANSWERED:
                    text = own_words(found.content)
                if text:
                    said = said.after(Turn("assistant", "", text), quotes=self._own(found))
        return said

    def _before(self, said: Said, message: discord.Message) -> Said:
        """Put a message of somebody else before what was said."""
        if message.type is discord.MessageType.thread_starter_message and message.reference is not None:
            started = message.reference.resolved
            if not isinstance(started, discord.Message):
                return said
            if self.is_own(started):
                return said.after(Turn("assistant", "", own_words(started.content)), quotes=self._own(started))
            message = started
        if message.type not in SPOKEN or message.author.bot:
            return said
        spoken = self._spoken(message, said.conversation_id)
        return said.after(*spoken.turns, quotes=spoken.quotes)

    def exact_reply_of(self, exchange: Exchange) -> str | None:
        """The model's own words, remembered or kept; None where they are neither."""
        kept = self._remembered.get(exchange.id)
        return exchange.reply if kept is None else kept.reply

    async def _exchange(self, message: discord.Message) -> Exchange | None:
        async with self._store.session() as session:
            return await self._find(session, message)

    async def _find(self, session: AsyncSession, message: discord.Message) -> Exchange | None:
        key = places.message_key(message.channel.id, message.id)
        return await exchanges.find_by_delivery(session, places.SOURCE, key)

    async def _parent(self, message: discord.Message) -> discord.Message | None:
        """The message that this one replies to."""
        reference = message.reference
        if reference is None or reference.message_id is None or message.type is not discord.MessageType.reply:
            return None
        if isinstance(reference.resolved, discord.DeletedReferencedMessage):
            return None
        return reference.resolved or await self.fetch(places.message_key(reference.channel_id, reference.message_id))

    async def _question(self, exchange: Exchange) -> discord.Message | None:
        if exchange.question_id is None:
            return None
        return await self.fetch(exchange.question_id)

    async def fetch(self, key: str) -> discord.Message | None:
        """A message, from what the bot saw lately or from Discord; None when it is gone or may not be read."""
        channel_id, message_id = places.split_key(key)
        found = discord.utils.get(self._client.cached_messages, id=message_id)
        if found is not None:
            return found
        channel = self._client.get_channel(channel_id) or self._client.get_partial_messageable(channel_id)
        try:
            return await channel.fetch_message(message_id)  # type: ignore[union-attr]  # a channel with messages
        except discord.HTTPException:
            return None
