"""A message, a place or a person is gone: what was said there or by them is forgotten. Knows no SDK."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from bot.chat.free_talk import FreeTalk
from bot.chat.memory import Memory
from bot.chat.replies import RunningReplies
from core.store import data_rights, exchanges
from core.store.data_rights import Forgotten
from core.store.db import Store

logger = logging.getLogger(__name__)


class Forgetting:
    """Erases on one platform, `source`: in the ledger and in memory. What is being written is stopped first.

    Everything here raises StoreUnavailable; then it is asked for once more later.
    """

    def __init__(self, store: Store, source: str, replies: RunningReplies, memory: Memory, free_talk: FreeTalk) -> None:
        self._store = store
        self._source = source
        self._replies = replies
        self._memory = memory
        self._free_talk = free_talk

    async def message(self, key: str) -> Sequence[str]:
        """A message was deleted. Of our own, what it said goes; a question takes its answers with it.

        Returns the messages that show those answers and are to be deleted, too.
        """
        self._memory.forget(key)
        await self._replies.stop_answers_to(key)
        async with self._store.write() as session:
            exchange = await exchanges.find_by_delivery(session, self._source, key)
            answers = await exchanges.find_by_question(session, self._source, key)
            pages = await exchanges.deliveries_of(session, *(answer.id for answer in answers))
            if exchange is None:
                await data_rights.forget_question(session, self._source, key)
        if exchange is not None:
            await self._forget_reply(exchange.id, key)
        for page in pages:
            self._memory.forget(page.exchange_id)
        return [page.message_id for page in pages]

    async def _forget_reply(self, exchange_id: str, key: str) -> None:
        await self._replies.stop(exchange_id)
        await self._replies.ended(exchange_id)
        self._memory.forget(exchange_id)
        async with self._store.write() as session:
            await data_rights.forget_delivery(session, self._source, key)

    async def places(self, *place_ids: str) -> None:
        """The bot has left these places."""
        await self._replies.stop_in(place_ids)
        async with self._store.write() as session:
            lost = await data_rights.forget_places(session, self._source, place_ids)
        self._free_talk.forget()
        logger.info("The bot has left %s: the text of %d exchanges is erased", place_ids[0], lost)

    async def person(self, user_id: str, private_places: Collection[str]) -> Forgotten:
        """Erase a person. `private_places` are those that nobody but them can see."""
        await self._replies.stop_for(user_id)  # its end would note once more where it is shown
        async with self._store.write() as session:
            done = await data_rights.forget(session, user_id, private_places)
        self._memory.forget(user_id)
        return done

    async def answers(self, variants: Sequence[str]) -> None:
        """These exchanges, all answers to one question, were taken away by the person who may."""
        for exchange_id in variants:
            self._memory.forget(exchange_id)
