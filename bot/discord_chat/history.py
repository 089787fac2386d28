"""The conversation behind a message on Discord: its chain of replies, its thread, or its direct messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import discord

from bot.chat.conversation import MAX_TURNS, Transcript, Turn
from bot.chat.conversations import Conversations, Former
from bot.chat.memory import Memory
from bot.chat.platform import ScreenUnreachable
from bot.chat.reply_pages import own_words
from bot.discord_chat.calls import UNREADABLE, attempt
from bot.discord_chat.connection import Connection
from bot.discord_chat.contents import forwarded_words, unread_in, words_of
from bot.discord_chat.names import (
    CHAIN,
    SOURCE,
    chain_conversation,
    channel_place,
    dm_conversation,
    message_key,
    prefix_of,
    split_key,
    thread_place,
    user_id,
)
from core.messages import Quoted
from core.store import exchanges
from core.store.db import Store
from core.store.models import Delivery, Exchange

PARENT_HIDDEN = 'I cannot read the message you replied to; right-click it, Apps, "Ask a persona about this".'
RESET_LINE = "-# 🧹 A fresh start: what stands above this line is not part of the conversation any more."
SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
FORWARDED = "Forwarded message:"  # above words whose author is not known
STRANGER = f"{SOURCE}:0"  # whose words they are then: somebody who never agrees that text is kept

T = TypeVar("T")


class History(Conversations):
    """Reads conversations. Raises ScreenUnreachable when Discord does not answer at the moment."""

    def __init__(self, connection: Connection, store: Store, memory: Memory) -> None:
        super().__init__(store, SOURCE, memory)
        self._connection = connection

    async def read(self, message: discord.Message, *, is_free_talk: bool = False) -> Transcript:
        """The conversation that this message ends. Raises ScreenUnreachable when it cannot be read at the moment."""
        return self._with_remarks(await self._conversation(message, is_free_talk=is_free_talk), message)

    def _with_remarks(self, transcript: Transcript, message: discord.Message) -> Transcript:
        parent = self.others_parent(message)
        is_parent_hidden = parent is not None and self._is_hidden(parent)
        unread = [*unread_in(message), *(() if parent is None else unread_in(parent))]
        hidden = [PARENT_HIDDEN] if is_parent_hidden else []
        return replace(transcript, remarks=tuple(dict.fromkeys((*hidden, *unread))))

    async def _conversation(self, message: discord.Message, *, is_free_talk: bool) -> Transcript:
        channel = message.channel
        if isinstance(channel, discord.Thread):
            return await self._history(message, thread_place(channel.id))
        if isinstance(channel, discord.DMChannel):
            return await self._history(message, dm_conversation(channel.id))
        if is_free_talk:
            return await self._history(message, channel_place(channel.id))
        return await self._chain(message)

    async def _shown_again(self, exchange: Exchange) -> Transcript | None:
        question = await self.fetch(exchange.question_id or "")
        if question is None or not (words_of(question, self._connection.own_id) or forwarded_words(question)):
            return None
        # Not by the question's channel: of one that is not cached, nobody knows that it is a thread or a DM.
        is_chain = exchange.conversation_id.startswith(prefix_of(CHAIN))
        found = self._chain(question) if is_chain else self._history(question, exchange.conversation_id)
        return self._with_remarks(await found, question)

    def is_own(self, message: discord.Message) -> bool:
        """Whether the bot wrote it, itself or through its webhook."""
        if message.webhook_id is not None:
            return message.application_id == self._connection.client.application_id
        return message.author.id == self._connection.own_id

    def others_parent(self, message: discord.Message) -> discord.Message | None:
        """The message that this one replies to, where it is known and not the bot's own."""
        parent = None if message.reference is None else message.reference.resolved
        return parent if isinstance(parent, discord.Message) and not self.is_own(parent) else None

    def _is_hidden(self, message: discord.Message) -> bool:
        """Whether Discord keeps somebody's words to itself."""
        is_shown = message.content or message.embeds or message.poll or message.message_snapshots
        return not (self._connection.has_message_content or message.guild is None or is_shown)

    def _own(self, message: discord.Message) -> tuple[Quoted, ...]:
        return (Quoted(_key(message), ""),)

    async def _spoken(self, message: discord.Message, conversation_id: str) -> Transcript:
        """A person's message as a turn, behind what it forwards; none where Discord shows no text."""
        spoken, forwarded = self._written(message, conversation_id), forwarded_words(message)
        if not forwarded:
            return spoken
        own_quote = () if spoken.quotes else (Quoted(_key(message), user_id(message.author)),)
        spoken = replace(spoken, quotes=(*spoken.quotes, *own_quote))  # deleting it takes back the forwarding, too
        key = forwarded_key(message)
        original = None if key == _key(message) else await self.fetch(key)
        if original is None:
            turn = Turn("user", message.author.display_name, f"{FORWARDED}\n{forwarded}", user_id(message.author))
            return spoken.after(turn, quotes=(Quoted(key, STRANGER),))
        author = original.author
        owner = "" if self.is_own(original) else user_id(author)
        return spoken.after(Turn("user", author.display_name, forwarded, user_id(author)), quotes=(Quoted(key, owner),))

    def _written(self, message: discord.Message, conversation_id: str) -> Transcript:
        text = words_of(message, self._connection.own_id)
        if not text:
            return Transcript(conversation_id)
        key = _key(message)
        turn = Turn("user", message.author.display_name, text, user_id(message.author))
        return Transcript(conversation_id, (turn,), (Quoted(key, user_id(message.author)),))

    async def _chain(self, message: discord.Message) -> Transcript:
        """Walk up the replies; the conversation is named for the first message that was reached."""
        transcript = await self._spoken(message, chain_conversation(message.id))
        current: discord.Message | None = await self._parent(message)
        seen = {message.id}
        while current is not None and current.id not in seen:
            if len(seen) == MAX_TURNS:
                return replace(transcript, is_cut=True)
            seen.add(current.id)
            is_own = self.is_own(current)
            exchange = await self._exchange(current) if is_own else None
            if exchange is not None and (kept := self._memory.find(exchange.id)):
                former = kept.transcript
                transcript = transcript.after(Turn("assistant", "", kept.reply), quotes=self._own(current))
                transcript = transcript.after(*former.turns, quotes=former.quotes)
                return replace(transcript, conversation_id=former.conversation_id, is_cut=former.is_cut)
            if exchange is not None:
                answer = await self.answer_on(exchange, Former(_key(current), content=current.content))
                transcript = transcript.after(*answer, quotes=self._own(current))
                current = await self._question(exchange) or await self._parent(current)
                continue
            if not is_own:  # else it is a greeting, a refusal or what a command said: nobody's words
                spoken = await self._spoken(current, chain_conversation(current.id))
                transcript = replace(transcript, conversation_id=spoken.conversation_id)
                transcript = transcript.after(*spoken.turns, quotes=spoken.quotes)
            current = await self._parent(current)
        return transcript

    async def _history(self, message: discord.Message, conversation_id: str) -> Transcript:
        """What was said in a thread, DM or free-talk channel, up to its last reset."""
        former: list[Former] = []
        for found in map(_spoken_first, await self._earlier(message)):
            if not self.is_own(found):
                former.append(Former(_key(found), said=await self._said(found, conversation_id)))
            elif found.content == RESET_LINE:
                break
            else:
                former.append(Former(_key(found), content=found.content))
        return await self.after(former, await self._spoken(message, conversation_id))

    async def _said(self, message: discord.Message, conversation_id: str) -> Transcript:
        """What somebody else said; nothing where that was no person."""
        if message.type not in SPOKEN or message.author.bot:
            return Transcript(conversation_id)
        return await self._spoken(message, conversation_id)

    async def _content_of(self, key: str) -> str | None:
        message = await self.fetch(key)
        return None if message is None else message.content

    def _words_in(self, content: str, noted: Delivery | None) -> str | None:
        if noted is None:
            return content
        if noted.head_chars is None or noted.tail_chars is None:
            return None
        return own_words(content, noted.head_chars, noted.tail_chars)

    async def _earlier(self, message: discord.Message) -> list[discord.Message]:
        """What stands before this message, the newest first, as many as fit; nothing without the right to read it."""

        async def page() -> list[discord.Message]:
            return [found async for found in message.channel.history(limit=MAX_TURNS, before=message)]

        return await _read(page) or []

    async def _exchange(self, message: discord.Message) -> Exchange | None:
        async with self._store.read() as session:
            return await exchanges.find_by_delivery(session, SOURCE, _key(message))

    async def _parent(self, message: discord.Message) -> discord.Message | None:
        """The message that this one replies to."""
        reference = message.reference
        if reference is None or reference.message_id is None or message.type is not discord.MessageType.reply:
            return None
        if isinstance(reference.resolved, discord.DeletedReferencedMessage):
            return None
        return reference.resolved or await self.fetch(message_key(reference.channel_id, reference.message_id))

    async def _question(self, exchange: Exchange) -> discord.Message | None:
        if exchange.question_id is None:
            return None
        return await self.fetch(exchange.question_id)

    async def fetch(self, key: str) -> discord.Message | None:
        """A message, from what the bot saw lately or from Discord; None when it is gone or may not be read.

        Raises ScreenUnreachable.
        """
        channel_id, message_id = split_key(key)
        found = discord.utils.get(self._connection.client.cached_messages, id=message_id)
        if found is not None:
            return found
        client = self._connection.client
        channel = client.get_channel(channel_id) or client.get_partial_messageable(channel_id)
        return await _read(lambda: channel.fetch_message(message_id))  # type: ignore[union-attr]  # one with messages


async def _read(call: Callable[[], Awaitable[T]]) -> T | None:
    """What Discord shows the bot; None where it is gone or not for the bot to see. Raises ScreenUnreachable."""
    try:
        return await attempt(call)
    except ScreenUnreachable:
        raise
    except UNREADABLE:
        return None


def forwarded_key(message: discord.Message) -> str:
    """The message that this one forwards; its own where Discord does not say."""
    reference = message.reference
    if reference is None or reference.message_id is None:
        return _key(message)
    return message_key(reference.channel_id, reference.message_id)


def _key(message: discord.Message) -> str:
    return message_key(message.channel.id, message.id)


def _spoken_first(message: discord.Message) -> discord.Message:
    """The message that a thread was started from, in place of what stands for it in the thread."""
    started = None if message.reference is None else message.reference.resolved
    is_stand_in = message.type is discord.MessageType.thread_starter_message
    return started if is_stand_in and isinstance(started, discord.Message) else message
