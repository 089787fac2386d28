"""The ledger: every prompt is written here before it is queued, and settled here once. Knows no queue."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import case, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.engine.base import SamplingParams, WeightedAdapter
from core.errors import NotFound
from core.jobs import JobStatus
from core.messages import ChatMessage, FinishReason, Usage
from core.store.db import insert
from core.store.models import Delivery, Exchange

UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class NewExchange:
    """One prompt and everything that decides its reply.

    `event_id` is the platform's id of the event, unique within `source`. `model` is the canonical blend spec or "base",
    `base_model` a slug. `prompt=None` says that the text may not be kept; then the reply's is not kept either.
    `sampling.seed` must be filled in.
    """

    id: str
    source: str
    event_id: str
    conversation_id: str
    user_id: str
    model: str
    base_model: str
    adapters: tuple[WeightedAdapter, ...]
    prompt: tuple[ChatMessage, ...] | None
    sampling: SamplingParams


def new_exchange_id() -> str:
    """A fresh id: "chatcmpl-" and 32 hex digits, so that it can be an OpenAI completion's id."""
    return f"chatcmpl-{uuid.uuid4().hex}"


async def record(session: AsyncSession, new: NewExchange) -> bool:
    """Write a queued exchange. False when this event is in the ledger already, which means: answer it once.

    Raises sqlalchemy's IntegrityError when the seed is missing or the id is taken: mistakes of the caller.
    """
    statement = insert(session, Exchange).values(
        id=new.id,
        source=new.source,
        event_id=new.event_id,
        conversation_id=new.conversation_id,
        user_id=new.user_id,
        model=new.model,
        base_model=new.base_model,
        adapters=[
            {"name": share.adapter.name, "content_hash": share.adapter.content_hash, "weight": share.weight}
            for share in new.adapters
        ],
        seed=new.sampling.seed,
        sampling=asdict(new.sampling),
        prompt=None if new.prompt is None else [message.to_dict() for message in new.prompt],
        status=JobStatus.QUEUED,
    )
    once = statement.on_conflict_do_nothing(index_elements=[Exchange.source, Exchange.event_id])
    return await session.scalar(once.returning(Exchange.id)) is not None


async def mark_running(session: AsyncSession, exchange_id: str) -> None:
    """A worker took it. Only a queued exchange changes: one that was cancelled meanwhile stays so."""
    await _change(session, exchange_id, JobStatus.QUEUED, status=JobStatus.RUNNING, started_at=time.time())


async def requeue(session: AsyncSession, exchange_id: str) -> None:
    """A worker gave it back unanswered. Only a running exchange changes."""
    await _change(session, exchange_id, JobStatus.RUNNING, status=JobStatus.QUEUED, started_at=None)


async def settle(
    session: AsyncSession,
    exchange_id: str,
    *,
    status: JobStatus,
    reply: str,
    finish_reason: FinishReason,
    usage: Usage,
    error: str | None,
) -> bool:
    """End an exchange with its reply, whole or partial. False when it is unknown or has ended already.

    The reply's text is kept only where the prompt's is.
    """
    return await _change(
        session,
        exchange_id,
        *UNFINISHED,
        status=status,
        reply=case((Exchange.prompt.is_not(null()), reply), else_=None),
        finish_reason=finish_reason,
        finished_at=time.time(),
        error=error,
        **asdict(usage),
    )


async def add_delivery(session: AsyncSession, exchange_id: str, message_id: str) -> None:
    """Note the message that shows the reply; noting it again is harmless. Raises NotFound.

    `message_id` must be unique within the exchange's source: Slack's is channel and timestamp together.
    """
    source = await session.scalar(select(Exchange.source).where(Exchange.id == exchange_id))
    if source is None:
        raise NotFound(f'There is no exchange "{exchange_id[:60]}" that a message could show.')
    statement = insert(session, Delivery).values(source=source, message_id=message_id, exchange_id=exchange_id)
    await session.execute(statement.on_conflict_do_nothing(index_elements=[Delivery.source, Delivery.message_id]))


async def find(session: AsyncSession, exchange_id: str) -> Exchange | None:
    return await session.get(Exchange, exchange_id, populate_existing=True)


async def find_by_delivery(session: AsyncSession, source: str, message_id: str) -> Exchange | None:
    """The exchange whose reply this message shows."""
    exchange_id = await session.scalar(
        select(Delivery.exchange_id).where(Delivery.source == source, Delivery.message_id == message_id)
    )
    return None if exchange_id is None else await find(session, exchange_id)


async def unfinished(session: AsyncSession) -> list[Exchange]:
    """What a crash left queued or running, the oldest first."""
    found = await session.scalars(
        select(Exchange)
        .where(Exchange.status.in_(UNFINISHED))
        .order_by(Exchange.created_at, Exchange.id)
        .execution_options(populate_existing=True)
    )
    return list(found)


async def fail_unfinished(session: AsyncSession, error: str) -> int:
    """Settle everything unfinished as failed with this sentence, and say how many there were."""
    failed = {"status": JobStatus.FAILED, "finish_reason": "error", "error": error, "finished_at": time.time()}
    return await _update(session, Exchange.status.in_(UNFINISHED), **failed)


async def _change(session: AsyncSession, exchange_id: str, *former: JobStatus, **values: Any) -> bool:
    """Change one exchange if its status is among `former`; the database decides, so two callers cannot both win."""
    return await _update(session, Exchange.id == exchange_id, Exchange.status.in_(former), **values) == 1


async def _update(session: AsyncSession, *conditions: Any, **values: Any) -> int:
    changed = update(Exchange).where(*conditions).values(**values).returning(Exchange.id)
    # The session's own objects are left behind here; the reads above fetch them anew.
    return len((await session.scalars(changed, execution_options={"synchronize_session": False})).all())
