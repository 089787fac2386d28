"""What people may ask of the store: show what it holds about me, forget me, and keep nothing longer than it said.

Knows no chat platform: which messages and places are gone, it is told.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.errors import InvalidInput
from core.store import consent, exchanges, feedback
from core.store.db import UNSYNCHRONIZED
from core.store.erasure import erase_text, erase_words_of, holds_message, holds_words_of
from core.store.models import (
    Base,
    Consent,
    Correction,
    Delivery,
    Exchange,
    ExchangePlace,
    Feedback,
    Place,
    Preference,
    Quote,
    TrainingExample,
)

FORGOTTEN = ""  # whose an exchange is that somebody asked who has been forgotten


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased: exchanges this person asked, and their judgements.

    `versions` are the adapter versions that were trained on any of it, like "codebeard@2"; they go on existing.
    """

    exchanges: int = 0
    feedback: int = 0
    preferences: int = 0
    corrections: int = 0
    versions: list[str] = field(default_factory=list)


async def export(session: AsyncSession, user_id: str) -> dict[str, Any]:
    """Everything about this person, ready for JSON. Times are UTC unix seconds."""
    asked = await _rows(session, Exchange, Exchange.user_id == user_id, order_by=Exchange.created_at)
    own = select(Exchange.id).where(Exchange.user_id == user_id)
    shown = await _rows(session, Delivery, Delivery.exchange_id.in_(own), order_by=Delivery.created_at)
    for delivery in shown:
        del delivery["token"]  # the bot's own key to the message
    places = await _rows(session, ExchangePlace, ExchangePlace.exchange_id.in_(own), order_by=ExchangePlace.place_id)
    return {
        "user_id": user_id,
        "exported_at": time.time(),
        "exchanges": asked,
        "shown_as": shown,
        "took_place_in": places,
        "quoted_in": await _rows(session, Quote, Quote.user_id == user_id, order_by=Quote.message_id),
        "feedback": await _rows(session, Feedback, Feedback.user_id == user_id, order_by=Feedback.given_at),
        "preferences": await _rows(session, Preference, Preference.user_id == user_id, order_by=Preference.given_at),
        "corrections": await _rows(session, Correction, Correction.user_id == user_id, order_by=Correction.given_at),
        "consents": await _rows(session, Consent, Consent.user_id == user_id, order_by=Consent.id),
        "places": await _rows(session, Place, _is_named_for(user_id), order_by=Place.id),
        "trained_versions": await _versions_of(session, user_id),
    }


async def forget(session: AsyncSession, user_id: str, places: Collection[str] = ()) -> Forgotten:
    """Erase this person: their words wherever they stand, their judgements, their consent, their name.

    Their exchanges stay in the ledger as nobody's and without text: what was answered by which weights, and what
    others think of it. Places that nobody but them can see, a chat with the bot alone, say, are left; `places` are such
    ones, too, where they may never have asked anything. Raises InvalidInput for an empty id.
    """
    if not user_id:  # which is nobody's id, and what the rows of those already forgotten hold
        raise InvalidInput("Nobody is named whose data is to be erased; name one person.")
    versions = await _versions_of(session, user_id)
    corrections = await _delete(session, Correction, Correction.user_id == user_id)
    await erase_words_of(session, user_id)
    private = [*places, *await session.scalars(_private_places_of(user_id))]
    await _leave(session, _took_place_in(private), private)
    own = select(Exchange.id).where(Exchange.user_id == user_id)
    await _delete(session, ExchangePlace, ExchangePlace.exchange_id.in_(own))
    nobodys = {
        "user_id": FORGOTTEN,
        "conversation_id": FORGOTTEN,
        "event_id": literal("forgotten:") + Exchange.id,
        "question_id": None,
    }
    anonymised = update(Exchange).where(Exchange.user_id == user_id).values(nobodys).returning(Exchange.id)
    asked = (await session.scalars(anonymised, execution_options=UNSYNCHRONIZED)).all()
    await _delete(session, Quote, Quote.user_id == user_id)
    await _delete(session, Consent, Consent.user_id == user_id)
    await _delete(session, Place, _is_named_for(user_id))
    await feedback.void_thumbs_of(session, user_id)
    return Forgotten(
        exchanges=len(asked),
        feedback=await _delete(session, Feedback, Feedback.user_id == user_id),
        preferences=await _delete(session, Preference, Preference.user_id == user_id),
        corrections=corrections,
        versions=versions,
    )


async def forget_places(
    session: AsyncSession, source: str, place_ids: Collection[str], conversation_ids: Collection[str] = ()
) -> int:
    """The bot has left these places: their settings and all text from them go.

    `conversation_ids` name conversations besides those that took place there. Returns how many exchanges lost their
    text.
    """
    there = or_(_took_place_in(place_ids), Exchange.conversation_id.in_(conversation_ids))
    return await _leave(session, (Exchange.source == source) & there, [*place_ids, *conversation_ids])


async def stop_keeping(session: AsyncSession, place_id: str, *, wider: Collection[str] = ()) -> int:
    """This place no longer lets text be kept: what was kept goes, except where a narrower place lets it be kept.

    `wider` are the places that this one lies in, whose choice does not count here. Returns how many exchanges lost
    their text.
    """
    narrower = (
        select(ExchangePlace.exchange_id)
        .join(Place, Place.id == ExchangePlace.place_id)
        .where(Place.is_text_kept.is_(True), Place.id.not_in([place_id, *wider]))
    )
    return await erase_text(session, _took_place_in([place_id]), Exchange.id.not_in(narrower))


async def forget_question(session: AsyncSession, source: str, question_id: str) -> int:
    """A person deleted a message: its words go, from the exchanges that answer it and from those that quote it.

    Returns how many exchanges lost their text.
    """
    return await erase_text(session, holds_message(source, question_id, Exchange.question_id == question_id))


async def forget_delivery(session: AsyncSession, source: str, message_id: str) -> int:
    """Somebody deleted a message of the bot's: what it said goes, all variants of it, and from where it is quoted.

    Returns how many exchanges lost their text.
    """
    shown = await exchanges.find_by_delivery(session, source, message_id)
    said = [variant.id for variant in await exchanges.variants(session, shown.id)] if shown else []
    erased = await erase_text(session, holds_message(source, message_id, Exchange.id.in_(said)))
    await exchanges.remove_delivery(session, source, message_id)
    return erased


async def longest_gap_lately(session: AsyncSession, *, now: float, lately_s: float) -> tuple[float, float]:
    """Between which two unix times the ledger knows of nothing, if that lasted till `lately_s` ago or longer.

    The second is `now` where nothing has happened since. Both are `now` when all that is known happened lately.
    """
    lately = now - lately_s
    before = await session.scalar(select(func.max(Exchange.finished_at)).where(Exchange.finished_at <= lately))
    since = await session.scalar(select(func.min(Exchange.finished_at)).where(Exchange.finished_at > lately))
    end = now if since is None else min(since, now)
    return (end if before is None else before), end


async def purge(session: AsyncSession, *, before: float) -> int:
    """Erase text that is older than this unix time, unless everybody whose words it holds agrees to its being kept.

    Returns how many exchanges lost their text. Judgements stay.
    """
    agreeing = consent.consenting()
    quotes_others = exists().where(
        Quote.exchange_id == Exchange.id, Quote.user_id != "", Quote.user_id.not_in(agreeing)
    )
    await _delete(session, Correction, (Correction.given_at < before) & Correction.user_id.not_in(agreeing))
    is_kept = Exchange.user_id.in_(agreeing) & ~quotes_others
    return await erase_text(session, Exchange.finished_at < before, ~is_kept)


def _took_place_in(place_ids: Collection[str]) -> ColumnElement[bool]:
    return Exchange.id.in_(select(ExchangePlace.exchange_id).where(ExchangePlace.place_id.in_(place_ids)))


def _private_places_of(user_id: str) -> Select[str]:
    """Places that lie in no wider one and where nobody else ever asked anything; a channel lies in its server."""
    here, wider = aliased(ExchangePlace), aliased(ExchangePlace)
    asked = select(ExchangePlace.place_id).join(Exchange, Exchange.id == ExchangePlace.exchange_id)
    around = (wider.exchange_id == here.exchange_id) & (wider.place_id != here.place_id)
    is_inside_or_shared = (
        select(here.place_id)
        .join(Exchange, Exchange.id == here.exchange_id)
        .outerjoin(wider, around)
        .where(here.place_id == ExchangePlace.place_id, or_(Exchange.user_id != user_id, wider.place_id.is_not(None)))
    )
    return asked.where(Exchange.user_id == user_id, ~is_inside_or_shared.exists()).distinct()


def _is_named_for(user_id: str) -> ColumnElement[bool]:
    """True for places that have one person's name: the playground gives every browser session such a place."""
    return or_(Place.id == user_id, Place.id == Place.source + literal(f":{user_id}", String()))


async def _leave(session: AsyncSession, there: ColumnElement[bool], place_ids: Sequence[str]) -> int:
    """Erase the text of these exchanges, the messages that show them, and these places."""
    erased = await erase_text(session, there)
    found = select(Exchange.id).where(there)
    await _delete(session, Delivery, Delivery.exchange_id.in_(found))
    nowhere = update(Exchange).where(there).values(question_id=None)
    await session.execute(nowhere, execution_options=UNSYNCHRONIZED)
    await _delete(session, ExchangePlace, ExchangePlace.place_id.in_(place_ids))
    await _delete(session, Place, Place.id.in_(place_ids))
    return erased


async def _versions_of(session: AsyncSession, user_id: str) -> list[str]:
    """The adapter versions that were trained on what this person said or judged."""
    found = (
        select(TrainingExample.persona, TrainingExample.version)
        .where(TrainingExample.exchange_id.in_(_touched_by(user_id)))
        .distinct()
        .order_by(TrainingExample.persona, TrainingExample.version)
    )
    return [f"{persona}@{version}" for persona, version in await session.execute(found)]


def _touched_by(user_id: str) -> CompoundSelect[tuple[str]]:
    """The ids of every exchange this person asked, judged or is quoted in."""
    return union(
        select(Exchange.id).where(holds_words_of(user_id)),
        select(Feedback.exchange_id).where(Feedback.user_id == user_id),
        select(Correction.exchange_id).where(Correction.user_id == user_id),
        select(Preference.chosen_id).where(Preference.user_id == user_id),
        select(Preference.rejected_id).where(Preference.user_id == user_id),
    )


async def _rows(
    session: AsyncSession, model: type[Base], condition: ColumnElement[bool], *, order_by: Any
) -> list[dict[str, Any]]:
    columns = model.__table__.columns
    found = await session.execute(select(*columns).where(condition).order_by(order_by, *model.__table__.primary_key))
    return [dict(row) for row in found.mappings()]


async def _delete(session: AsyncSession, model: type[Base], condition: ColumnElement[bool]) -> int:
    key = next(iter(model.__table__.primary_key))
    gone = delete(model).where(condition).returning(key)
    return len((await session.scalars(gone, execution_options=UNSYNCHRONIZED)).all())
