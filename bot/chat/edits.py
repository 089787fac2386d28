"""Edited questions are answered once more, in the messages that show the former answer. Knows no SDK."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakValueDictionary

from bot.chat.memory import Memory
from bot.chat.questions import Question, Questions, say_why_not
from bot.chat.replies import RunningReplies
from core.errors import PersonasError
from core.store import data_rights, exchanges
from core.store.db import Session, Store
from core.store.models import Exchange

ANSWERED_AGAIN_WITHIN_S = 3600.0  # who mends an older question expects nothing, and platforms limit old edits

logger = logging.getLogger(__name__)


class Edits:
    """Takes in the edits of one platform's, `source`, messages: of several, the newest counts."""

    def __init__(
        self, store: Store, source: str, memory: Memory, replies: RunningReplies, questions: Questions
    ) -> None:
        self._store = store
        self._source = source
        self._memory = memory
        self._replies = replies
        self._questions = questions
        self._newest: dict[str, str] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take_in(self, question: Question, edition: str, *, age_s: float) -> None:
        """A person has edited a message, which was so many seconds old; `edition` tells edits of it apart.

        What was answered to its former words is forgotten.
        """
        key = question.key
        self._memory.forget(key)
        if age_s > ANSWERED_AGAIN_WITHIN_S or self._newest.get(key) == edition:
            return
        self._newest[key] = edition
        with self._replies.busy():
            try:
                await self._replies.stop_answers_to(key)
                async with self._locks.setdefault(key, asyncio.Lock()):
                    if self._newest.get(key) == edition:  # else it was edited again meanwhile
                        await self._answer_again(question, f"message:{key}:edit:{edition}")
            except PersonasError as error:
                logger.info("An edited question stays answered as it was: %s", error)
                await say_why_not(question, error)
            finally:
                if self._newest.get(key) == edition:
                    del self._newest[key]

    async def _answer_again(self, question: Question, event_id: str) -> None:
        async with self._store.write() as session:
            former = await exchanges.find_by_question(session, self._source, question.key)
            # An old edit may be told of again, when the message is pinned, say.
            if not former or any(exchange.event_id == event_id for exchange in former):
                return
            onto = await _shown(session, former)
            await data_rights.forget_question(session, self._source, question.key)
        await self._questions.answer_again(question, event_id, former[-1], onto)


async def _shown(session: Session, former: Sequence[Exchange]) -> tuple[str, ...]:
    """The messages that show an answer to the question now, page by page."""
    shown = await exchanges.deliveries_of(session, *(exchange.id for exchange in former))
    for exchange in reversed(former):
        if pages := [page.message_id for page in shown if page.exchange_id == exchange.id]:
            return tuple(pages)
    return ()
