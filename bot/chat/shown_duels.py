"""Duels on a platform whose messages show both answers below each other. Knows no SDK."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from bot.chat.buttons import ReplyButtons
from bot.chat.duels import LETTERS, Duels, Side, Watch
from bot.chat.memory import Memory
from bot.chat.platform import Capabilities, IncomingMessage, ReplyScreen
from bot.chat.replies import Refuse, RunningReplies
from bot.chat.reply_pages import ReplyPages, without_calls
from bot.chat.responder import DuplicateEvent, PendingReply
from bot.chat.wording import sentence_of
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store
from core.store.duels import Contest

logger = logging.getLogger(__name__)


class ShownDuels:
    """Duels on one platform, whose messages show both answers below each other."""

    def __init__(
        self,
        platform: Capabilities,
        store: Store,
        duels: Duels,
        replies: RunningReplies,
        memory: Memory,
        *,
        shows_thoughts: bool = False,
    ) -> None:
        """`shows_thoughts`: people see what a reasoning model thinks, too."""
        self._platform = platform
        self._store = store
        self._duels = duels
        self._replies = replies
        self._memory = memory
        self._shows_thoughts = shows_thoughts

    async def show(self, contest: Contest, question: IncomingMessage, screen: ReplyScreen, refuse: Refuse) -> None:
        """Answer an admitted question twice, and let people vote. `refuse` says why there is no duel.

        Raises ScreenGone and ScreenRefused where the answers cannot be shown.
        """
        with self._replies.busy():
            try:
                duel = await self._duels.fight(contest, question, watch=self._watch(question))
            except DuplicateEvent:
                return
            except PersonasError as error:
                await refuse(sentence_of(error))
                await self._placeholder_ended(question)
                return
            for letter, side in zip(LETTERS, (duel.first, duel.second), strict=True):
                await self._show_side(letter, side, question, screen)
            screen.buttons = ReplyButtons(duel.id, is_duel=True)
            await self._replies.budget(screen.channel_key).take(is_final=True)
            await screen.post(without_calls(self._duels.which(contest, question)))

    def _watch(self, question: IncomingMessage) -> Watch:
        def watch(replies: tuple[PendingReply, ...]) -> AbstractContextManager[None]:
            return self._replies.writing(question, *replies)

        return watch

    async def _show_side(self, letter: str, side: Side, question: IncomingMessage, screen: ReplyScreen) -> None:
        """Post one answer and note its messages, so that reactions, and deletions, find it."""
        if question.transcript is not None:
            self._memory.remember(side.exchange_id, question.transcript, side.text)
        pages = ReplyPages(self._platform.max_chars, f"**{letter}**", self._platform.small_print)
        keys, marks = [], {}
        for page in pages.pages_of(side.text, side.end, None, side.thoughts if self._shows_thoughts else ""):
            await self._replies.budget(screen.channel_key).take(is_final=True)
            keys.append(await screen.post(page.text))
            marks[keys[-1]] = (page.head, page.tail)
        try:
            await self._placeholder_ended(question)
            async with self._store.write() as session:
                for position, key in enumerate(keys):
                    await exchanges.add_delivery(session, side.exchange_id, key, position=position)
                await exchanges.finish_deliveries(session, side.exchange_id, marks=marks)
        except PersonasError as error:
            logger.warning("What shows %s is not noted: %s", side.exchange_id, error)

    async def _placeholder_ended(self, question: IncomingMessage) -> None:
        """Something else stands in its place."""
        if question.placeholder is not None:
            async with self._store.write() as session:
                await exchanges.remove_delivery(session, question.source, question.placeholder.message_id)
