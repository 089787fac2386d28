"""Better replies that people wrote."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.errors import InvalidInput, NotFound
from core.store import corrections, exchanges
from tests.examples.store import new_exchange, record_answered


async def write(session, exchange_id: str, user_id: str = "ann", better: str = "A pile of plates.") -> None:
    await corrections.add(session, exchange_id=exchange_id, user_id=user_id, text=better, source="discord")


async def test_the_latest_correction_of_each_person_counts(store):
    async with store.write() as session:
        exchange_id = await record_answered(session)
        await write(session, exchange_id, "bob", "Plates.")
        await write(session, exchange_id, "ann", "First try.")
        before = await corrections.of_exchange(session, exchange_id)
        await write(session, exchange_id, "ann", "  A pile of plates.\n")
        found = await corrections.of_exchange(session, exchange_id)
    assert len(before) == 2
    assert [(row.user_id, row.text) for row in found] == [("ann", "A pile of plates."), ("bob", "Plates.")]


@pytest.mark.parametrize("better", ["", " \n\t"])
async def test_an_empty_correction_is_refused(store, better):
    async with store.write() as session:
        with pytest.raises(InvalidInput, match="The better answer is empty"):
            await write(session, await record_answered(session), better=better)


async def test_only_a_finished_reply_can_be_corrected(store):
    new = new_exchange()
    async with store.write() as session:
        await exchanges.record(session, new)
        with pytest.raises(InvalidInput, match="is queued; only a finished reply can be corrected"):
            await write(session, new.id)
        with pytest.raises(NotFound, match='no reply "chatcmpl-unknown"'):
            await write(session, "chatcmpl-unknown")


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE corrections SET text = ''", "ck_corrections_text_written"),
        ("UPDATE corrections SET exchange_id = 'chatcmpl-unknown'", "(?i)foreign key constraint"),
        ("INSERT INTO corrections SELECT * FROM corrections", "(?i)unique constraint"),
    ],
)
async def test_the_schema_refuses_empty_lost_or_doubled_corrections(store, statement, rule):
    async with store.write() as session:
        await write(session, await record_answered(session))
    with pytest.raises(IntegrityError, match=rule):
        async with store.write() as session:
            await session.execute(text(statement))
