"""The ledger: every prompt is written here before it is queued, and settled here once. Knows no queue."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, literal, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import InvalidInput, NotFound
from core.generation import SamplingOverrides, SamplingParams, WeightedAdapter
from core.messages import ChatMessage, FinishReason, Quoted, Usage
from core.queue.jobs import JobStatus
from core.store.db import UNSYNCHRONIZED, insert
from core.store.models import IS_OPEN, JSON_VALUE, Delivery, Exchange, ExchangePlace, Quote

UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class NewExchange:
    """One prompt and everything that decides its reply.

    `event_id` is the platform's id of the event, unique within `source`. `model` is the canonical blend spec or "base",
    `base_model` a slug. `sampling` is what was asked for, seed included, to which its settlement adds the model's own
    defaults. `prompt=None` says that the text may not be kept; then the reply's is not kept either.
    `variant_of` is any reply to the same question, `question_id` the platform's id
    of the message that asked it. `places` are the thread, channel and server it takes place in, `quotes` every message
    in the prompt, the question's own included; where they are left out, the prompt is taken to hold whatever was said
    in its conversation (see `core.store.erasure`).
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
    sampling: SamplingOverrides
    variant_of: str | None = None
    question_id: str | None = None
    places: tuple[str, ...] = ()
    quotes: tuple[Quoted, ...] = ()


def new_exchange_id() -> str:
    """A fresh id: "chatcmpl-" and 32 hex digits, so that it can be an OpenAI completion's id."""
    return f"chatcmpl-{uuid.uuid4().hex}"


async def record(session: AsyncSession, new: NewExchange) -> bool:
    """Write a queued exchange. False when this event is in the ledger already, which means: answer it once.

    Raises NotFound for an unknown `variant_of`, and sqlalchemy's IntegrityError when the seed is missing or the id is
    taken: mistakes of the caller.
    """
    sampling = new.sampling.given()
    if new.prompt is None:
        sampling["stop"] = ()  # text of a person, too
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
        sampling=sampling,
        prompt=None if new.prompt is None else [message.to_dict() for message in new.prompt],
        status=JobStatus.QUEUED,
        variant_of=None if new.variant_of is None else await _first_variant(session, new.variant_of),
        question_id=new.question_id,
    )
    once = statement.on_conflict_do_nothing(index_elements=[Exchange.source, Exchange.event_id])
    if await session.scalar(once.returning(Exchange.id)) is None:
        return False
    session.add_all(ExchangePlace(exchange_id=new.id, place_id=place_id) for place_id in dict.fromkeys(new.places))
    if new.prompt is not None:
        authors = {quoted.message_id: quoted.user_id for quoted in new.quotes}
        session.add_all(Quote(exchange_id=new.id, message_id=key, user_id=who) for key, who in authors.items())
    return True


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
    sampling: SamplingParams | None = None,
) -> bool:
    """End an exchange with its reply, whole or partial. False when it is unknown or has ended already.

    The reply's text is kept only where the prompt's is. `sampling` is what it was drawn with, None if it never ran.
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
        **({} if sampling is None else {"sampling": _used(sampling)}),
    )


async def add_delivery(
    session: AsyncSession,
    exchange_id: str,
    message_id: str,
    *,
    position: int = 0,
    is_final: bool = True,
    token: str | None = None,
) -> None:
    """Note the message that shows a page of the reply, in place of what it showed before. Raises NotFound.

    `message_id` must be unique within the exchange's source: Slack's is channel and timestamp together. `position`
    counts pages from 0. A message that still changes is not final, and `token` is what the platform wants to see for
    that, which a final one does not keep. How much of it are the reply's words is not known before its end.
    """
    source = await session.scalar(select(Exchange.source).where(Exchange.id == exchange_id))
    if source is None:
        raise NotFound(f'There is no exchange "{exchange_id[:60]}" that a message could show.')
    shown = {
        "exchange_id": exchange_id,
        "position": position,
        "is_final": is_final,
        "token": None if is_final else token,
        "head_chars": None,
        "tail_chars": None,
    }
    statement = insert(session, Delivery).values(source=source, message_id=message_id, **shown)
    key = [Delivery.source, Delivery.message_id]
    await session.execute(statement.on_conflict_do_update(index_elements=key, set_=shown))


async def finish_deliveries(
    session: AsyncSession, exchange_id: str, *, marks: Mapping[str, tuple[int, int]] | None = None
) -> None:
    """The messages that show this exchange change no more; their tokens are erased.

    `marks`: how many characters of each message, by its id, stand before the reply's own words, and how many behind.
    """
    for message_id, (head, tail) in (marks or {}).items():
        marked = update(Delivery).where(Delivery.exchange_id == exchange_id, Delivery.message_id == message_id)
        values = marked.values(head_chars=head, tail_chars=tail)
        await session.execute(values, execution_options=UNSYNCHRONIZED)
    finished = update(Delivery).where(Delivery.exchange_id == exchange_id).values(is_final=True, token=None)
    await session.execute(finished, execution_options=UNSYNCHRONIZED)


async def remove_delivery(session: AsyncSession, source: str, message_id: str) -> None:
    """Forget a message that is gone; forgetting it again is harmless."""
    await session.execute(delete(Delivery).where(Delivery.source == source, Delivery.message_id == message_id))


async def deliveries_of(session: AsyncSession, *exchange_ids: str) -> list[Delivery]:
    """The messages that show these exchanges, page by page."""
    return await _deliveries(session, Delivery.exchange_id.in_(exchange_ids))


async def undelivered(session: AsyncSession, source: str) -> list[tuple[Exchange, list[Delivery]]]:
    """Exchanges that have ended while messages still wait for their end: what a crash left on the screen.

    The oldest first, each with the messages that are not final, page by page.
    """
    waiting: dict[str, list[Delivery]] = {}
    for delivery in await _deliveries(session, Delivery.source == source, IS_OPEN):
        waiting.setdefault(delivery.exchange_id, []).append(delivery)
    ended = await _all(session, Exchange.id.in_(waiting), Exchange.finished_at.is_not(None))
    return [(exchange, waiting[exchange.id]) for exchange in ended]


async def unshown(session: AsyncSession, source: str, *, since: float) -> list[Exchange]:
    """Ended answers to chat messages that no message is known to show, opened after `since` (unix seconds)."""
    shown = select(Delivery.exchange_id).where(Delivery.exchange_id == Exchange.id).exists()
    asked = (Exchange.source == source, Exchange.question_id.is_not(None), Exchange.created_at > since)
    return await _all(session, *asked, Exchange.finished_at.is_not(None), ~shown)


async def shown_since(session: AsyncSession, source: str, *, since: float, limit: int) -> list[tuple[str, str, str]]:
    """The newest `limit` messages that were posted after `since` (unix seconds) and show a reply, the newest first.

    Of each its id, the exchange's, and the question's: "" where no message asked it.
    """
    question_id = func.coalesce(Exchange.question_id, "")
    posted = (Delivery.source == source, Delivery.created_at > since, Delivery.position >= 0)
    found = select(Delivery.message_id, Delivery.exchange_id, question_id).join(Exchange).where(*posted)
    rows = await session.execute(found.order_by(Delivery.created_at.desc()).limit(limit))
    return [(message_id, exchange_id, asked) for message_id, exchange_id, asked in rows]


async def quoted_since(session: AsyncSession, source: str, *, since: float) -> set[str]:
    """Every message that stands in the kept text of an exchange whose reply was posted after `since` (unix seconds)."""
    posted = (Delivery.source == source, Delivery.created_at > since)
    return set(
        await session.scalars(
            select(Quote.message_id).join(Delivery, Delivery.exchange_id == Quote.exchange_id).where(*posted)
        )
    )


async def quotes_of(session: AsyncSession, exchange_id: str) -> tuple[Quoted, ...]:
    """Everything that stands in this exchange's kept text, and whose it is."""
    found = select(Quote.message_id, Quote.user_id).where(Quote.exchange_id == exchange_id)
    return tuple(Quoted(message_id, user_id) for message_id, user_id in await session.execute(found))


async def check_finished(session: AsyncSession, exchange_id: str, *, to_be: str) -> None:
    """Let only a finished reply pass "to be" judged, corrected ...

    Raises NotFound for an unknown exchange and InvalidInput for one without a finished reply.
    """
    status = await session.scalar(select(Exchange.status).where(Exchange.id == exchange_id))
    if status is None:
        raise NotFound(f'There is no reply "{exchange_id[:60]}"; give the id that came with the reply.')
    if status != JobStatus.SUCCEEDED:
        raise InvalidInput(f'The reply "{exchange_id}" is {status}; only a finished reply can be {to_be}.')


async def find_by_delivery(session: AsyncSession, source: str, message_id: str) -> Exchange | None:
    """The exchange whose reply this message shows."""
    return (await find_by_deliveries(session, source, (message_id,))).get(message_id)


async def find_by_deliveries(session: AsyncSession, source: str, message_ids: Collection[str]) -> dict[str, Exchange]:
    """The exchanges whose replies these messages show, by message; messages that show none are left out."""
    shown = select(Delivery.message_id, Exchange).join(Exchange, Exchange.id == Delivery.exchange_id)
    of_these = shown.where(Delivery.source == source, Delivery.message_id.in_(message_ids))
    rows = await session.execute(of_these.execution_options(populate_existing=True))
    return {row.message_id: row.Exchange for row in rows}


async def find_delivery(session: AsyncSession, source: str, message_id: str) -> Delivery | None:
    """What is noted of this message."""
    return await session.get(Delivery, (source, message_id), populate_existing=True)


async def find(session: AsyncSession, exchange_id: str) -> Exchange | None:
    return await session.get(Exchange, exchange_id, populate_existing=True)


async def has_any(session: AsyncSession, source: str, conversation_id: str) -> bool:
    """Whether anything was ever asked in this conversation."""
    found = select(Exchange.id).where(Exchange.source == source, Exchange.conversation_id == conversation_id).limit(1)
    return await session.scalar(found) is not None


async def find_by_question(session: AsyncSession, source: str, question_id: str) -> list[Exchange]:
    """Every exchange that answers this message, the oldest first."""
    return await _all(session, Exchange.source == source, Exchange.question_id == question_id)


async def variants(session: AsyncSession, exchange_id: str) -> list[Exchange]:
    """Every reply to the question that this exchange answers, the oldest first; none for an unknown exchange."""
    first = select(func.coalesce(Exchange.variant_of, Exchange.id)).where(Exchange.id == exchange_id)
    key = first.scalar_subquery()
    return await _all(session, or_(Exchange.id == key, Exchange.variant_of == key))


async def unfinished(session: AsyncSession) -> list[Exchange]:
    """What a crash left queued or running, the oldest first."""
    return await _all(session, Exchange.status.in_(UNFINISHED))


async def fail_unfinished(session: AsyncSession, error: str, *, source: str) -> int:
    """Settle everything unfinished of a source as failed with this sentence, and say how many there were."""
    failed = {"status": JobStatus.FAILED, "finish_reason": "error", "error": error, "finished_at": time.time()}
    return await _update(session, Exchange.source == source, Exchange.status.in_(UNFINISHED), **failed)


def _used(sampling: SamplingParams) -> ColumnElement[Any]:
    """Every parameter; the stop strings, which are text of a person, only where the prompt is kept."""
    whole = asdict(sampling)
    kept, erased = (literal(values, JSON_VALUE) for values in (whole, whole | {"stop": ()}))
    return case((Exchange.prompt.is_not(null()), kept), else_=erased)


async def _first_variant(session: AsyncSession, exchange_id: str) -> str:
    """The first of the replies that this one is among. Raises NotFound."""
    first = select(func.coalesce(Exchange.variant_of, Exchange.id)).where(Exchange.id == exchange_id)
    found = await session.scalar(first)
    if found is None:
        raise NotFound(f'There is no reply "{exchange_id[:60]}" that another one could be a variant of.')
    return found


async def _all(session: AsyncSession, *conditions: Any) -> list[Exchange]:
    oldest_first = select(Exchange).where(*conditions).order_by(Exchange.created_at, Exchange.id)
    return list(await session.scalars(oldest_first.execution_options(populate_existing=True)))


async def _deliveries(session: AsyncSession, *conditions: Any) -> list[Delivery]:
    page_by_page = select(Delivery).where(*conditions).order_by(Delivery.position, Delivery.created_at)
    return list(await session.scalars(page_by_page.execution_options(populate_existing=True)))


async def _change(session: AsyncSession, exchange_id: str, *former: JobStatus, **values: Any) -> bool:
    """Change one exchange if its status is among `former`; the database decides, so two callers cannot both win."""
    return await _update(session, Exchange.id == exchange_id, Exchange.status.in_(former), **values) == 1


async def _update(session: AsyncSession, *conditions: Any, **values: Any) -> int:
    changed = update(Exchange).where(*conditions).values(**values).returning(Exchange.id)
    # The session's own objects are left behind here; the reads above fetch them again.
    return len((await session.scalars(changed, execution_options=UNSYNCHRONIZED)).all())
