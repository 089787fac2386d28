"""What was said before a message: its reply chain, or the history of its thread, DM or free-talk channel.

Works with what Discord shows the bot: without the Message Content intent that is what mentions it, what it wrote itself
and DMs. Text is remembered in memory only, so that a chain need not be read again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import discord
from sqlalchemy.ext.asyncio import AsyncSession

from bot.conversation import MAX_TURNS, Turn
from bot.discord_chat import places
from bot.discord_chat.refusals import UNREADABLE, attempt
from bot.discord_chat.said import Said
from bot.discord_chat.wording import own_words, text_of
from bot.reply_stream import ScreenUnreachable
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

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Remembered:
    said: Said
    reply: str

    def parts(self) -> set[str]:
        """The messages quoted, and whose they are."""
        return {part for quote in self.said.quotes for part in (quote.message_id, quote.user_id)}


class Context:
    """What the chat's bot has seen and said. It is asked for whenever it is needed: a new connection is a new bot."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._parts: defaultdict[str, set[str]] = defaultdict(set)  # who and what has a part in which exchanges

    def remember(self, exchange_id: str, said: Said, reply: str) -> None:
        """Keep the exact words of an exchange for the next turn, in memory."""
        self._drop(exchange_id)
        self._remembered[exchange_id] = kept = _Remembered(said, reply)
        for part in kept.parts():
            self._parts[part].add(exchange_id)
        if len(self._remembered) > MAX_REMEMBERED:
            self._drop(next(iter(self._remembered)))

    def forget(self, what: str) -> None:
        """Let go of everything in which this message key, user id or exchange id has a part."""
        for exchange_id in {what, *self._parts.get(what, ())}:
            self._drop(exchange_id)

    def _drop(self, exchange_id: str) -> None:
        if exchange_id not in self._remembered:
            return
        for part in self._remembered.pop(exchange_id).parts():
            self._parts[part].discard(exchange_id)
            if not self._parts[part]:
                del self._parts[part]

    async def said(self, message: discord.Message, *, is_free_talk: bool = False) -> Said:
        """The conversation that this message ends. Raises ScreenUnreachable when it cannot be read at the moment."""
        return self._with_remarks(await self._conversation(message, is_free_talk=is_free_talk), message)

    def _with_remarks(self, said: Said, message: discord.Message) -> Said:
        parent = self.others_parent(message)
        files = message.attachments or (parent is not None and parent.attachments)
        return replace(said, is_parent_hidden=parent is not None and self._is_hidden(parent), has_files=bool(files))

    async def _conversation(self, message: discord.Message, *, is_free_talk: bool) -> Said:
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
                # Not by the question's channel: of one that is not cached, nobody knows that it is a thread or a DM.
                is_chain = exchange.conversation_id.startswith(places.CHAIN_PREFIX)
                found = self._chain(question) if is_chain else self._history(question, exchange.conversation_id)
                return self._with_remarks(await found, question)
        else:
            async with self._store.read() as session:
                quotes = await exchanges.quotes_of(session, exchange.id)  # first, as they go when the text goes
                asked = await exchanges.find(session, exchange.id)
            if asked is not None and asked.prompt:
                turns = tuple(Turn(turn["role"], "", turn["content"]) for turn in asked.prompt)
                return Said(asked.conversation_id, turns, quotes)
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

    def others_parent(self, message: discord.Message) -> discord.Message | None:
        """The message that this one replies to, where it is known and not the bot's own."""
        parent = None if message.reference is None else message.reference.resolved
        return parent if isinstance(parent, discord.Message) and not self.is_own(parent) else None

    def _is_hidden(self, message: discord.Message) -> bool:
        """Whether Discord keeps somebody's words to itself."""
        return not (self._chat.has_message_content or message.guild is None or message.content)

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
        while current is not None and current.id not in seen:
            if len(seen) == MAX_TURNS:
                return replace(said, is_cut=True)
            seen.add(current.id)
            is_own = self.is_own(current)
            exchange = await self._exchange(current) if is_own else None
            if exchange is not None and (kept := self._remembered.get(exchange.id)):
                said = said.after(Turn("assistant", "", kept.reply), quotes=self._own(current))
                said = said.after(*kept.said.turns, quotes=kept.said.quotes)
                return replace(said, conversation_id=kept.said.conversation_id, is_cut=kept.said.is_cut)
            if exchange is not None:
                said = said.after(*await self._reply_turns(exchange, current), quotes=self._own(current))
                current = await self._question(exchange) or await self._parent(current)
                continue
            if not is_own:  # else it is a greeting, a refusal or what a command said: nobody's words
                spoken = self._spoken(current, places.chain_conversation(current.id))
                said = replace(said, conversation_id=spoken.conversation_id)
                said = said.after(*spoken.turns, quotes=spoken.quotes)
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
        async with self._store.read() as session:
            keys = [delivery.message_id for delivery in await exchanges.deliveries_of(session, exchange.id)]
        at_hand = {places.message_key(page.channel.id, page.id): page for page in known}
        pages = [at_hand.get(key) or await self.fetch(key) for key in keys]
        words = [own_words(shown.content) for shown in pages if shown is not None]
        return "\n".join(words) if words else None

    async def _history(self, message: discord.Message, conversation_id: str) -> Said:
        """What was said in a thread, DM or free-talk channel, up to its last reset."""
        said = self._spoken(message, conversation_id)
        earlier = [_spoken_first(found) for found in await self._earlier(message)]
        async with self._store.read() as session:
            shown = await self._find(session, *filter(self.is_own, earlier))
        told: set[str] = set()
        for count, found in enumerate(earlier, start=1):
            if found.id in shown and found.content == RESET_LINE:
                break
            if count == MAX_TURNS:
                return replace(said, is_cut=True)
            if found.id not in shown:
                said = self._before(said, found)
            elif (exchange := shown[found.id]) is not None and exchange.id not in told:
                text = self.exact_reply_of(exchange)
                if text is not None:
                    told.add(exchange.id)
                elif exchange.status in ANSWERED:
                    text = own_words(found.content)
                if text:
                    said = said.after(Turn("assistant", "", text), quotes=self._own(found))
        return said

    async def _earlier(self, message: discord.Message) -> list[discord.Message]:
        """What stands before this message, the newest first, as many as fit; nothing without the right to read it."""

        async def page() -> list[discord.Message]:
            return [found async for found in message.channel.history(limit=MAX_TURNS, before=message)]

        return await _read(page) or []

    def _before(self, said: Said, message: discord.Message) -> Said:
        """Put a message of somebody else before what was said."""
        if message.type not in SPOKEN or message.author.bot:
            return said
        spoken = self._spoken(message, said.conversation_id)
        return said.after(*spoken.turns, quotes=spoken.quotes)

    def exact_reply_of(self, exchange: Exchange) -> str | None:
        """The model's own words, remembered or kept; None where they are neither."""
        kept = self._remembered.get(exchange.id)
        return exchange.reply if kept is None else kept.reply

    async def _exchange(self, message: discord.Message) -> Exchange | None:
        async with self._store.read() as session:
            return (await self._find(session, message))[message.id]

    async def _find(self, session: AsyncSession, *messages: discord.Message) -> dict[int, Exchange | None]:
        """What these messages of ours show, by their ids; None for those that show no reply."""
        keys = {message.id: places.message_key(message.channel.id, message.id) for message in messages}
        shown = await exchanges.find_by_deliveries(session, places.SOURCE, keys.values())
        return {message_id: shown.get(key) for message_id, key in keys.items()}

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
        """A message, from what the bot saw lately or from Discord; None when it is gone or may not be read.

        Raises ScreenUnreachable.
        """
        channel_id, message_id = places.split_key(key)
        found = discord.utils.get(self._client.cached_messages, id=message_id)
        if found is not None:
            return found
        channel = self._client.get_channel(channel_id) or self._client.get_partial_messageable(channel_id)
        return await _read(lambda: channel.fetch_message(message_id))  # type: ignore[union-attr]  # one with messages


async def _read(call: Callable[[], Awaitable[T]]) -> T | None:
    """What Discord shows the bot; None where it is gone or not for the bot to see. Raises ScreenUnreachable."""
    try:
        return await attempt(call)
    except ScreenUnreachable:
        raise
    except UNREADABLE:
        return None


def _spoken_first(message: discord.Message) -> discord.Message:
    """The message that a thread was started from, in place of what stands for it in the thread."""
    started = None if message.reference is None else message.reference.resolved
    is_stand_in = message.type is discord.MessageType.thread_starter_message
    return started if is_stand_in and isinstance(started, discord.Message) else message
