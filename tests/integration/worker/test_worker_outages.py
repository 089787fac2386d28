"""The worker while its database is out of order, and while everything happens at once."""

from __future__ import annotations

import asyncio
import random
import sqlite3

import pytest

from core.engine.echo_engine import EchoEngine
from core.errors import QueueFull
from core.generation import SamplingOverrides
from core.messages import ReplyChunk, Usage
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.worker.ledger_writer import LedgerWriter
from tests.examples.store import new_exchange
from tests.examples.workshop import open_workshop, text_of


@pytest.fixture
async def shop(tmp_path):
    async with open_workshop(tmp_path) as opened:
        yield opened


async def take_ledger_away(shop):
    """Every statement on the ledger fails from now on, as with a database that is being repaired."""
    await run_sql(shop.database, "ALTER TABLE exchanges RENAME TO exchanges_away")


async def bring_ledger_back(shop):
    await run_sql(shop.database, "ALTER TABLE exchanges_away RENAME TO exchanges")


async def run_sql(database, statement):
    def run():
        connection = sqlite3.connect(database, timeout=30)
        with connection:
            connection.execute(statement)
        connection.close()

    await asyncio.to_thread(run)


async def test_the_reader_gets_the_whole_reply_while_the_store_is_out_of_order(shop, caplog):
    shop.engine.gate.close()
    asked = await shop.ask("one two")
    await shop.engine.gate.wait_until_held()
    await take_ledger_away(shop)
    shop.engine.gate.open()
    chunks = await shop.read(asked)
    assert (text_of(chunks), chunks[-1].finish_reason) == ("one two", "stop")
    assert f"The ledger could not be written for {asked}" in caplog.text
    await bring_ledger_back(shop)
    await shop.drain()
    row = await shop.row(asked)
    assert (row.status, row.reply) == ("succeeded", "one two")


async def test_the_conversation_goes_on_while_the_store_is_out_of_order(shop):
    shop.engine.gate.close()
    asked = [await shop.ask(text, conversation="c") for text in ("first", "second")]
    await shop.engine.gate.wait_until_held()
    await take_ledger_away(shop)
    shop.engine.gate.open()
    assert [text_of(await shop.read(exchange_id)) for exchange_id in asked] == ["first", "second"]
    await bring_ledger_back(shop)
    await shop.drain()
    assert [(await shop.row(exchange_id)).reply for exchange_id in asked] == ["first", "second"]


async def test_what_is_unwritten_is_written_as_soon_as_the_store_works_again(shop):
    ledger = LedgerWriter(shop.store, retry_delays_s=(), late_retry_delay_s=0.01)
    asked = [new_exchange(), new_exchange()]
    async with shop.store.write() as session:
        for new in asked:
            await exchanges.record(session, new)
    await take_ledger_away(shop)
    for new in asked:
        await ledger.settle(new.id, JobStatus.CANCELLED, "", ReplyChunk(finish_reason="cancelled"))
    await bring_ledger_back(shop)
    await ledger._retrying
    assert [(await shop.row(new.id)).status for new in asked] == ["cancelled", "cancelled"]


async def test_what_is_still_unwritten_at_the_end_is_named_in_the_log(shop, caplog):
    ledger = LedgerWriter(shop.store, retry_delays_s=())
    await take_ledger_away(shop)
    last = ReplyChunk(finish_reason="stop", usage=Usage(1, 1))
    await ledger.settle("chatcmpl-1", JobStatus.SUCCEEDED, "hi", last)
    await ledger.close()
    await bring_ledger_back(shop)
    assert "lacks how 1 exchanges ended: chatcmpl-1" in caplog.text


async def test_a_write_that_can_never_work_is_logged_and_holds_nobody_up(shop, caplog):
    ledger = LedgerWriter(shop.store, retry_delays_s=())
    new = new_exchange()
    async with shop.store.write() as session:
        await exchanges.record(session, new)
    await ledger.settle(new.id, "no such status", "hi", ReplyChunk(finish_reason="stop"))
    assert "IntegrityError" in caplog.text
    assert not ledger._unwritten


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_every_exchange_ends_and_every_reader_gets_one_last_chunk(tmp_path, seed):
    chance = random.Random(seed)
    async with open_workshop(tmp_path, engine=EchoEngine(slots=3, fails_on="boom")) as shop:
        asked, readers = [], []
        for number in range(20):
            text = chance.choice(["one two three", "say boom", "word " * 300, "hi"])
            try:
                asked.append(
                    await shop.ask(
                        text,
                        conversation=f"c{chance.randrange(5)}",
                        sampling=SamplingOverrides(max_new_tokens=chance.randint(1, 5), seed=number),
                        timeout_s=chance.choice([None, 0.0]),
                    )
                )
            except QueueFull:
                continue
            readers.append(asyncio.create_task(shop.read(asked[-1])))
            if chance.random() < 0.3:
                await shop.queue.cancel(chance.choice(asked))
            if chance.random() < 0.2:
                shop.engine.gate.close()
                shop.engine.gate.let_through(2)
            elif chance.random() < 0.5:
                shop.engine.gate.open()
        shop.engine.gate.open()
        replies = await asyncio.gather(*readers)
        await shop.drain()
        for exchange_id, chunks in zip(asked, replies, strict=True):
            assert [chunk.finish_reason is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
            row = await shop.row(exchange_id)
            assert JobStatus(row.status).is_final
            assert (row.finish_reason, row.error) == (chunks[-1].finish_reason, chunks[-1].error)
            assert (row.reply or "") == text_of(chunks)  # what the model refuses leaves no text
        assert shop.engine.stats().running == await shop.queue.depth() == 0
        assert not shop.queue._entries
