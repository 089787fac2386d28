"""Takes people's words out of the ledger, and knows where they stand. Knows nobody's reasons for it.

An exchange's kept text holds its asker's words, and those of the messages it quotes. One that says of no message that
it quotes it is taken to quote everything that was said in its conversation.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, null, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.db import UNSYNCHRONIZED, take_turns
from core.store.models import Correction, Exchange, Quote, TrainingExample

MAX_IDS = 1000  # in one statement; databases bound its parameters


def holds_words_of(user_id: str) -> ColumnElement[bool]:
    """True for exchanges that this person asked or that quote them."""
    return or_(
        Exchange.user_id == user_id,
        Exchange.id.in_(select(Quote.exchange_id).where(Quote.user_id == user_id)),
        _is_vague_in(select(Exchange.conversation_id).where(Exchange.user_id == user_id)),
    )


def holds_message(source: str, message_id: str, of_exchange: ColumnElement[bool]) -> ColumnElement[bool]:
    """True for exchanges that quote a message, and for those it belongs to, which `of_exchange` names.

    A union, as each of its parts has an index: every message that is deleted anywhere is looked for in the ledger.
    """
    own = and_(Exchange.source == source, of_exchange)
    is_from_there = exists().where(Exchange.id == Quote.exchange_id, Exchange.source == source).correlate(Quote)
    quoting = select(Quote.exchange_id).where(Quote.message_id == message_id, is_from_there)
    vague = select(Exchange.id).where(_is_vague_in(select(Exchange.conversation_id).where(own)))
    return Exchange.id.in_(union(select(Exchange.id).where(own), quoting, vague))


async def erase_words_of(session: AsyncSession, user_id: str) -> int:
    """Erase what this person said, wherever it stands. Returns how many exchanges lost their text."""
    await take_turns(session, is_shared=False)
    await session.execute(delete(Correction).where(Correction.user_id == user_id))
    return await erase_text(session, holds_words_of(user_id))


async def erase_text(session: AsyncSession, *conditions: ColumnElement[bool]) -> int:
    """Erase prompt, reply, stop strings and corrections of these exchanges. Returns how many lost their text.

    What decided the reply stays, and so does every judgement of it. Whom an exchange quoted stays noted where an
    adapter version was trained on it.
    """
    await take_turns(session, is_shared=False)
    found = select(Exchange.id).where(*conditions)
    await session.execute(delete(Correction).where(Correction.exchange_id.in_(found)), execution_options=UNSYNCHRONIZED)
    await _erase_stop_strings(session, *conditions)
    erased = update(Exchange).where(*conditions, Exchange.prompt.is_not(null())).values(prompt=None, reply=None)
    lost = (await session.scalars(erased.returning(Exchange.id), execution_options=UNSYNCHRONIZED)).all()
    trained_on = select(TrainingExample.exchange_id)
    for start in range(0, len(lost), MAX_IDS):
        some = lost[start : start + MAX_IDS]
        pointless = delete(Quote).where(Quote.exchange_id.in_(some), Quote.exchange_id.not_in(trained_on))
        await session.execute(pointless, execution_options=UNSYNCHRONIZED)
    return len(lost)


async def _erase_stop_strings(session: AsyncSession, *conditions: ColumnElement[bool]) -> None:
    stopping = select(Exchange.id, Exchange.sampling).where(*conditions, Exchange.sampling["stop"].as_string() != "[]")
    for exchange_id, sampling in (await session.execute(stopping)).all():
        without: dict[str, Any] = {**sampling, "stop": []}
        changed = update(Exchange).where(Exchange.id == exchange_id).values(sampling=without)
        await session.execute(changed, execution_options=UNSYNCHRONIZED)


def _is_vague_in(conversations: Select[str]) -> ColumnElement[bool]:
    """True for exchanges of these conversations with a kept text that does not say whom it quotes."""
    says_whom = exists().where(Quote.exchange_id == Exchange.id)
    return and_(Exchange.conversation_id.in_(conversations), Exchange.prompt.is_not(null()), ~says_whom)
