"""Edited questions are answered once more, in the messages that show the former answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakValueDictionary

import discord
from discord.ext import commands as prefix_commands

from bot.chat.memory import Memory
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.discord_chat import names
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.listener import Listener
from bot.discord_chat.screens import DiscordScreen
from core.errors import PersonasError
from core.store import data_rights, exchanges
from core.store.db import Session, Store
from core.store.models import Exchange

ANSWERED_AGAIN_WITHIN = timedelta(hours=1)  # who mends an older question expects nothing, and Discord limits old edits

logger = logging.getLogger(__name__)


class Changes:
    """`listen` puts it on a bot."""

    def __init__(
        self,
        store: Store,
        memory: Memory,
        replies: RunningReplies,
        history: History,
        identities: Identities,
        listener: Listener,
    ) -> None:
        self._store = store
        self._memory = memory
        self._replies = replies
        self._history = history
        self._identities = identities
        self._listener = listener
        self._newest: dict[str, datetime] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def listen(self, bot: prefix_commands.AutoShardedBot) -> None:
        bot.add_listener(self.on_raw_message_edit)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """A person's edit. Discord itself updates messages, too, when it unfolds a link: that is none."""
        message, edited_at = event.message, event.message.edited_at
        if edited_at is None or message.author.bot or message.webhook_id is not None:
            return
        key = names.message_key(message.channel.id, message.id)
        self._memory.forget(key)
        if edited_at - message.created_at > ANSWERED_AGAIN_WITHIN or self._newest.get(key) == edited_at:
            return
        self._newest[key] = edited_at
        try:
            await self._replies.stop_answers_to(key)
            async with self._locks.setdefault(key, asyncio.Lock()):
                if self._newest.get(key) == edited_at:  # else it was edited again meanwhile
                    await self._answer_again(message, key, f"message:{message.id}:edit:{edited_at.isoformat()}")
        except PersonasError as error:
            logger.info("An edited question stays answered as it was: %s", error)
            await self._listener.say_why_not(message, error)
        finally:
            if self._newest.get(key) == edited_at:
                del self._newest[key]

    async def _answer_again(self, message: discord.Message, key: str, event_id: str) -> None:
        """Raises NotAllowed and TooFast; the words of the former question are forgotten all the same."""
        async with self._store.write() as session:
            former = await exchanges.find_by_question(session, names.SOURCE, key)
            # Discord tells of an old edit again when the message is pinned, say.
            is_new = bool(former) and all(exchange.event_id != event_id for exchange in former)
            onto = await _shown(session, former)
            if is_new:
                await data_rights.forget_question(session, names.SOURCE, key)
        places_here = names.places_of(message.channel)
        if not is_new or not self._replies.admit(event_id, names.user_id(message.author), places_here):
            return
        is_free_talk = former[-1].conversation_id == names.channel_place(message.channel.id)
        question = await self._listener.question_in(message, event_id, is_free_talk=is_free_talk)
        if question.transcript is None or not question.transcript.is_question:
            return
        first = await self._first_of(onto)
        await self._replies.answer(
            question,
            partial(self._screen_for, message, first),
            refuse=partial(self._listener.say, message),
            onto=() if first is None else onto,
        )

    async def _first_of(self, keys: Sequence[str]) -> discord.Message | None:
        """The first of these messages that a screen can change; None where they are gone or out of reach."""
        for key in keys:
            if message := await self._history.fetch(key):
                with suppress(ScreenGone, ScreenRefused):
                    await self._identities.screen_of(message, "base")
                    return message
        return None

    async def _screen_for(
        self, question: discord.Message, first: discord.Message | None, reply: PendingReply
    ) -> DiscordScreen:
        if first is None:
            return await self._listener.screen_for(question, reply)
        return await self._identities.screen_of(first, reply.model)


async def _shown(session: Session, former: Sequence[Exchange]) -> tuple[str, ...]:
    """The messages that show an answer to the question now, page by page."""
    shown = await exchanges.deliveries_of(session, *(exchange.id for exchange in former))
    for exchange in reversed(former):
        if pages := [page.message_id for page in shown if page.exchange_id == exchange.id]:
            return tuple(pages)
    return ()
