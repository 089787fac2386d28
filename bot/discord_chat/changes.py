"""Edited questions on Discord: told of, and asked once more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import discord
from discord.ext import commands as prefix_commands

from bot.chat.edits import Edits
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.discord_chat import names
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.listener import Listener
from bot.discord_chat.screens import DiscordScreen
from core.errors import PersonasError
from core.store.models import Exchange

logger = logging.getLogger(__name__)


class Changes:
    """`listen` puts it on a bot."""

    def __init__(
        self, edits: Edits, replies: RunningReplies, history: History, identities: Identities, listener: Listener
    ) -> None:
        self._edits = edits
        self._replies = replies
        self._history = history
        self._identities = identities
        self._listener = listener

    def listen(self, bot: prefix_commands.AutoShardedBot) -> None:
        bot.add_listener(self.on_raw_message_edit)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """A person's edit. Discord itself updates messages, too, when it unfolds a link: that is none."""
        message, edited_at = event.message, event.message.edited_at
        if edited_at is None or message.author.bot or message.webhook_id is not None:
            return
        key = names.message_key(message.channel.id, message.id)
        edition = edited_at.isoformat()
        event_id = f"message:{message.id}:edit:{edition}"
        age_s = (edited_at - message.created_at).total_seconds()
        ask_again = partial(self._answer_again, message, event_id)
        try:
            await self._edits.take_in(key, edition, event_id, age_s=age_s, ask_again=ask_again)
        except PersonasError as error:
            logger.info("An edited question stays answered as it was: %s", error)
            await self._listener.say_why_not(message, error)

    async def _answer_again(
        self, message: discord.Message, event_id: str, former: Exchange, onto: Sequence[str]
    ) -> None:
        """Raises NotAllowed and TooFast; the words of the former question are forgotten all the same."""
        if not self._replies.admit(event_id, names.user_id(message.author), names.places_of(message.channel)):
            return
        is_free_talk = former.conversation_id == names.channel_place(message.channel.id)
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
