"""Who may end a reply or take it away, and what goes with it. Knows no SDK and no buttons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from bot.chat.memory import Memory
from bot.chat.platform import Screen, ScreenGone
from bot.chat.replies import RunningReplies
from core.errors import NotFound, PermissionNeeded
from core.store import data_rights, exchanges
from core.store.db import Store
from core.store.models import Exchange

UNKNOWN = "I do not know this answer any more; who moderates this channel can delete it."
NOT_YOURS = "Only who asked, or who may manage messages here, can {do} this answer."
HAS_ENDED = "This answer has ended already."

MayManage: TypeAlias = Callable[[], Awaitable[bool]]


class Endings:
    """`may_manage` says whether the person moderates the place; it is asked about those alone who did not ask.

    Everything here raises NotFound, PermissionNeeded and StoreUnavailable.
    """

    def __init__(self, store: Store, source: str, replies: RunningReplies, memory: Memory) -> None:
        self._store = store
        self._source = source
        self._replies = replies
        self._memory = memory

    async def variants(self, exchange_id: str) -> list[Exchange]:
        """Every answer to the same question, the oldest first."""
        async with self._store.read() as session:
            found = await exchanges.variants(session, exchange_id)
        if not found:
            raise NotFound(UNKNOWN)
        return found

    async def stop(self, exchange_id: str, user_id: str, *, may_manage: MayManage) -> bool:
        """Stop writing a reply, whose words so far stay; False when it has ended already."""
        variants = await self.variants(exchange_id)
        askers = {exchange.user_id for exchange in variants if exchange.id in (exchange_id, variants[0].id)}
        if user_id not in askers and not await may_manage():
            raise PermissionNeeded(NOT_YOURS.format(do="stop"))
        return await self._replies.stop(exchange_id)

    async def stopped(self, exchange_id: str, user_id: str, *, may_manage: MayManage) -> list[Exchange]:
        """Every answer to the same question, none of which is being written any more: they may be taken away."""
        variants = await self.variants(exchange_id)
        if user_id != variants[0].user_id and not await may_manage():
            raise PermissionNeeded(NOT_YOURS.format(do="delete"))
        for variant in variants:
            await self._replies.stop(variant.id)
            await self._replies.ended(variant.id)
        return variants

    async def take_away(self, screen: Screen, pages: Sequence[str], variants: Sequence[Exchange]) -> None:
        """Every page of it, the last one last: as long as something is left, so is the button."""
        for key in pages:
            with suppress(ScreenGone):  # somebody was faster
                await screen.remove(key)
            async with self._store.write() as session:
                await data_rights.forget_delivery(session, self._source, key)
        for variant in variants:
            self._memory.forget(variant.id)
