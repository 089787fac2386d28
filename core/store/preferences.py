"""Which of several replies to one question a person chose: the latest choice per person and question counts."""

from __future__ import annotations

import time

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import InvalidInput, NotFound
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import insert
from core.store.models import Preference


async def pick(session: AsyncSession, *, user_id: str, chosen: str, source: str) -> int:
    """Note that a person prefers the exchange `chosen` to every other finished reply to its question.

    Takes the place of what they chose before. Returns how many pairs it makes, 0 where there is nothing to choose
    from. Raises NotFound for an unknown exchange and InvalidInput for one without a finished reply.
    """
    group = {exchange.id: exchange.status for exchange in await exchanges.variants(session, chosen)}
    if chosen not in group:
        raise NotFound(f'There is no reply "{chosen[:60]}"; choose one of those that are shown.')
    if group[chosen] != JobStatus.SUCCEEDED:
        raise InvalidInput(f'The reply "{chosen}" is {group[chosen]}; only a finished reply can be chosen.')
    await withdraw(session, user_id=user_id, exchange_id=chosen)
    others = [key for key, status in group.items() if key != chosen and status == JobStatus.SUCCEEDED]
    if others:
        choice = {"chosen_id": chosen, "source": source, "given_at": time.time()}
        statement = insert(session, Preference).values(
            [{"user_id": user_id, "rejected_id": other, **choice} for other in others]
        )
        key = [Preference.user_id, Preference.rejected_id]
        await session.execute(statement.on_conflict_do_update(index_elements=key, set_=choice))
    return len(others)


async def withdraw(session: AsyncSession, *, user_id: str, exchange_id: str) -> None:
    """Take back what a person chose among the replies that this exchange is one of."""
    group = [exchange.id for exchange in await exchanges.variants(session, exchange_id)]
    await session.execute(delete(Preference).where(Preference.user_id == user_id, Preference.chosen_id.in_(group)))


async def of_user(session: AsyncSession, user_id: str) -> list[Preference]:
    """Every choice of a person, the oldest first."""
    found = await session.scalars(
        select(Preference)
        .where(Preference.user_id == user_id)
        .order_by(Preference.given_at, Preference.rejected_id)
        .execution_options(populate_existing=True)
    )
    return list(found)
