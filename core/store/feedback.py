"""Thumbs: the latest per person and exchange counts. Knows no chat platform."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.store import exchanges
from core.store.db import insert
from core.store.models import Exchange, Feedback, VoidThumbs
from core.thumb_statistics import Thumb

MAX_THUMBS = 10_000  # of one persona that are looked at for a page


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


async def record(
    session: AsyncSession,
    *,
    exchange_id: str,
    user_id: str,
    label: bool | None,
    source: str,
    is_latest: bool = True,
) -> None:
    """Note a person's judgement of an exchange in place of their former one; `label=None` removes it.

    One that was removed may still be seen as a thumb on the chat platform, so that is noted, too (`has_void_thumbs`).
    `is_latest=False` leaves a judgement that is there as it is.
    Raises NotFound for an unknown exchange and InvalidInput for one without a finished reply.
    """
    await exchanges.check_finished(session, exchange_id, to_be="judged")
    if label is None:
        await session.execute(insert(session, VoidThumbs).values(exchange_id=exchange_id).on_conflict_do_nothing())
        await remove(session, exchange_id=exchange_id, user_id=user_id)
        return
    judgement = {"label": label, "source": source, "given_at": time.time()}
    statement = insert(session, Feedback).values(exchange_id=exchange_id, user_id=user_id, **judgement)
    key = [Feedback.exchange_id, Feedback.user_id]
    if is_latest:
        statement = statement.on_conflict_do_update(index_elements=key, set_=judgement)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    await session.execute(statement)


async def remove(session: AsyncSession, *, exchange_id: str, user_id: str) -> None:
    """Let go of a judgement whose thumb is gone, too; removing it again is harmless."""
    await session.execute(delete(Feedback).where(Feedback.exchange_id == exchange_id, Feedback.user_id == user_id))


async def void_thumbs_of(session: AsyncSession, user_id: str) -> None:
    """Note that this person's thumbs count no more wherever they stand, without saying whose they are."""
    judged = select(Feedback.exchange_id).where(Feedback.user_id == user_id)
    await session.execute(insert(session, VoidThumbs).from_select(["exchange_id"], judged).on_conflict_do_nothing())


async def has_void_thumbs(session: AsyncSession, exchange_ids: Collection[str]) -> bool:
    """Whether a thumb may stand under one of these that counts no more; nobody knows which."""
    found = select(VoidThumbs.exchange_id).where(VoidThumbs.exchange_id.in_(exchange_ids)).limit(1)
    return await session.scalar(found) is not None


async def judged_from(session: AsyncSession, source: str, exchange_ids: Collection[str]) -> set[str]:
    """Those of these exchanges that were judged from this source, or another variant of which was."""
    variant = aliased(Exchange)
    first = func.coalesce(Exchange.variant_of, Exchange.id)
    judged = (
        select(Feedback.exchange_id)
        .join(variant, variant.id == Feedback.exchange_id)
        .where(Feedback.source == source, or_(variant.id == first, variant.variant_of == first))
        .correlate(Exchange)
    )
    return set(await session.scalars(select(Exchange.id).where(Exchange.id.in_(exchange_ids), judged.exists())))


async def of_exchanges(session: AsyncSession, *exchange_ids: str) -> list[Feedback]:
    """Every person's judgement of these exchanges, by person."""
    found = await session.scalars(
        select(Feedback)
        .where(Feedback.exchange_id.in_(exchange_ids))
        .order_by(Feedback.user_id, Feedback.exchange_id)
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


async def thumbs_by_version(session: AsyncSession, persona: str, base_model: str) -> dict[str, list[Thumb]]:
    """The latest MAX_THUMBS on replies of this persona alone, by the content hash of the adapter that wrote them."""
    statement = (
        select(Exchange.adapters, Feedback.user_id, Feedback.label, Feedback.given_at)
        .join(Feedback, Feedback.exchange_id == Exchange.id)
        .where(Exchange.model == persona, Exchange.base_model == base_model)
        .order_by(Feedback.given_at.desc())
        .limit(MAX_THUMBS)
    )
    found: dict[str, list[Thumb]] = {}
    for adapters, user_id, label, given_at in await session.execute(statement):
        if len(adapters) == 1:
            found.setdefault(adapters[0]["content_hash"], []).append(Thumb(user_id, label, given_at))
    return found
