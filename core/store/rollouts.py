"""Rollouts in the database: where each stands, and what the ledger says of both versions. Knows no rules."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.queue.jobs import JobStatus
from core.store import adapter_versions
from core.store.models import Exchange, Feedback, Rollout, ShadowReply

DONE = "done"
MAX_LOOKED_BACK = 50  # exchanges of a conversation, for the one that a persona answered last


async def find(session: AsyncSession, persona: str, base_slug: str, *, is_locking: bool = False) -> Rollout | None:
    """The persona's rollout, running or over. `is_locking` makes others wait who want to change it."""
    return await session.get(Rollout, (persona, base_slug), populate_existing=True, with_for_update=is_locking or None)


async def running(session: AsyncSession, personas: Collection[str], base_slug: str) -> list[Rollout]:
    """The rollouts of these personas that are not over."""
    found = select(Rollout).where(Rollout.persona.in_(personas), Rollout.base_model == base_slug, Rollout.stage != DONE)
    return list(await session.scalars(found.execution_options(populate_existing=True)))


async def begin(
    session: AsyncSession,
    persona: str,
    base_slug: str,
    *,
    challenger: int,
    champion: int,
    stage: str,
    settings: dict[str, Any],
    reason: str,
    by: str,
) -> Rollout:
    """Write a rollout that begins now, in place of the persona's former one, and its event."""
    now = time.time()
    values: dict[str, Any] = {
        "challenger": challenger,
        "champion": champion,
        "stage": stage,
        "is_paused": False,
        "settings": settings,
        "started_at": now,
        "canary_at": now if stage == "canary" else None,
        "ended_at": None,
        "outcome": None,
        "reason": reason,
    }
    rollout = await session.merge(Rollout(persona=persona, base_model=base_slug, **values))
    await _note(session, rollout, by, reason)
    return rollout


async def change(session: AsyncSession, rollout: Rollout, *, by: str, reason: str, **values: Any) -> None:
    """Change a rollout and say why, which is an event, too."""
    for name, value in values.items():
        setattr(rollout, name, value)
    rollout.reason = reason
    await _note(session, rollout, by, reason)


async def end(
    session: AsyncSession, persona: str, base_slug: str, *, outcome: str, by: str, reason: str, is_noted: bool = True
) -> Rollout | None:
    """End the running rollout; harmless where none runs. `is_noted=False` where another event says the same."""
    rollout = await find(session, persona, base_slug, is_locking=True)
    if rollout is None or rollout.stage == DONE:
        return None
    rollout.stage, rollout.outcome, rollout.reason, rollout.ended_at = DONE, outcome, reason, time.time()
    rollout.is_paused = False
    if is_noted:
        await _note(session, rollout, by, reason)
    return rollout


async def last_answered(session: AsyncSession, conversation_id: str, persona: str) -> str | None:
    """The content hash of the persona's version that answered last in this conversation; None where none has."""
    found = (
        select(Exchange.adapters)
        .where(Exchange.conversation_id == conversation_id)
        .order_by(Exchange.created_at.desc())
        .limit(MAX_LOOKED_BACK)
    )
    for adapters in await session.scalars(found):
        for share in adapters:
            if str(share["name"]).rpartition("@")[0] == persona:
                return str(share["content_hash"])
    return None


async def votes(session: AsyncSession, rollout: Rollout) -> list[tuple[str, str, str, bool]]:
    """The thumbs on replies of this persona alone, in conversations that began in the canary.

    Each as conversation, content hash of the version that wrote the reply, person and label; the oldest reply first.
    """
    statement = (
        select(Exchange.conversation_id, Exchange.adapters, Feedback.user_id, Feedback.label)
        .join(Feedback, Feedback.exchange_id == Exchange.id)
        .where(*_of_canary(rollout))
        .order_by(Exchange.created_at, Exchange.id, Feedback.user_id)
    )
    rows = (await session.execute(statement)).all()
    return [(place, _hash(adapters), user_id, label) for place, adapters, user_id, label in rows if adapters]


async def failures(session: AsyncSession, rollout: Rollout) -> set[tuple[str, str]]:
    """The conversations that began in the canary and in which a reply failed, each with the version's content hash."""
    statement = select(Exchange.conversation_id, Exchange.adapters).where(
        *_of_canary(rollout), Exchange.status == JobStatus.FAILED
    )
    return {(place, _hash(adapters)) for place, adapters in await session.execute(statement) if adapters}


async def shadow_replies(session: AsyncSession, rollout: Rollout) -> list[ShadowReply]:
    """What was measured of the challenger's unseen replies since the rollout began, the oldest first."""
    found = select(ShadowReply).where(
        ShadowReply.persona == rollout.persona,
        ShadowReply.base_model == rollout.base_model,
        ShadowReply.challenger == rollout.challenger,
        ShadowReply.happened_at >= rollout.started_at,
    )
    return list(await session.scalars(found.order_by(ShadowReply.happened_at)))


def _of_canary(rollout: Rollout) -> tuple[Any, ...]:
    earlier = aliased(Exchange)
    is_old = (
        select(earlier.id)
        .where(earlier.conversation_id == Exchange.conversation_id, earlier.created_at < rollout.canary_at)
        .exists()
    )
    return (
        Exchange.model == rollout.persona,
        Exchange.base_model == rollout.base_model,
        Exchange.finished_at >= rollout.canary_at,  # which has an index
        Exchange.created_at >= rollout.canary_at,
        *(() if rollout.ended_at is None else (Exchange.created_at <= rollout.ended_at,)),
        ~is_old,
    )


def _hash(adapters: list[dict[str, Any]]) -> str:
    return str(adapters[0]["content_hash"])


async def _note(session: AsyncSession, rollout: Rollout, by: str, reason: str) -> None:
    stored = await adapter_versions.get(session, rollout.persona, rollout.base_model, rollout.challenger)
    adapter_versions.note(session, stored, "rollout", former_champion=rollout.champion, actor=by, reason=reason)
