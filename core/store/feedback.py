"""Thumbs: the latest per person and exchange counts. Knows no chat platform."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.store import exchanges
from core.store.db import insert
from core.store.models import Exchange, Feedback


@dataclass(frozen=True, slots=True)
class Tally:
    """Thumbs for one model as answered by one set of adapter versions.

    `adapters` is as in the ledger: name, content_hash and weight of each.
    """

    model: str
    base_model: str
    adapters: tuple[dict[str, Any], ...]
    up: int
    down: int


async def record(session: AsyncSession, *, exchange_id: str, user_id: str, label: bool | None, source: str) -> None:
    """Note a person's judgement of an exchange in place of their former one; `label=None` removes it.

    Raises NotFound for an unknown exchange and InvalidInput for one without a finished reply.
    """
    await exchanges.check_finished(session, exchange_id, to_be="judged")
    if label is None:
        await session.execute(delete(Feedback).where(Feedback.exchange_id == exchange_id, Feedback.user_id == user_id))
        return
    judgement = {"label": label, "source": source, "given_at": time.time()}
    statement = insert(session, Feedback).values(exchange_id=exchange_id, user_id=user_id, **judgement)
    key = [Feedback.exchange_id, Feedback.user_id]
    await session.execute(statement.on_conflict_do_update(index_elements=key, set_=judgement))


async def of_exchange(session: AsyncSession, exchange_id: str) -> list[Feedback]:
    """Every person's judgement of this exchange, by person."""
    found = await session.scalars(
        select(Feedback)
        .where(Feedback.exchange_id == exchange_id)
        .order_by(Feedback.user_id)
        .execution_options(populate_existing=True)  # `record` writes past the session's own objects
    )
    return list(found)


async def tally(session: AsyncSession, *, base_model: str | None = None) -> list[Tally]:
    """Thumbs up and down for every model and set of adapter versions that has any, on one base model or on all."""
    group = (Exchange.model, Exchange.base_model, Exchange.adapters)
    up = func.count().filter(Feedback.label)
    statement = (
        select(*group, up, func.count() - up).select_from(Exchange).join(Feedback).group_by(*group).order_by(*group)
    )
    if base_model is not None:
        statement = statement.where(Exchange.base_model == base_model)
    rows = await session.execute(statement)
    return [Tally(model, base, tuple(adapters), ups, downs) for model, base, adapters, ups, downs in rows]
