"""How a worker ends: drained, hurried, cancelled, or with its queue."""

from __future__ import annotations

import asyncio

import pytest

from core.messages import ReplyChunk
from core.queue.jobs import JobStatus
from core.worker.worker import Worker
from tests.examples.workshop import open_workshop, text_of


@pytest.fixture
async def shop(tmp_path):
    async with open_workshop(tmp_path) as opened:
        yield opened


async def test_draining_lets_running_replies_finish_and_takes_no_new_ones(shop):
    shop.engine.gate.close()
    running = await shop.ask("running")
    await shop.engine.gate.wait_until_held()
    draining = asyncio.create_task(shop.worker.drain())
    await asyncio.sleep(0)
    waiting = await shop.ask("waiting")
    assert not shop.worker.is_healthy
    shop.engine.gate.open()
    await draining
    assert (await shop.row(running)).status == JobStatus.SUCCEEDED
    assert text_of(await shop.read(running)) == "running"
    assert (await shop.row(waiting)).status == JobStatus.QUEUED
    assert shop.queue.depth() == 1


async def test_what_does_not_finish_in_time_is_handed_back_and_finished_by_the_next_worker(shop):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two three")
    chunks = shop.queue.chunks(asked)
    assert await anext(chunks) == ReplyChunk("one ")
    await shop.drain(timeout_s=0)
    row = await shop.row(asked)
    assert (row.status, row.started_at, shop.queue.depth()) == ("queued", None, 1)
    assert shop.engine.stats().running == 0

    shop.engine.gate.open()
    shop.worker = Worker(shop.queue, shop.engine, shop.store, drain_timeout_s=30)
    shop.start()
    assert text_of([chunk async for chunk in chunks]) == "two three"
    assert (await shop.row(asked)).reply == "one two three"


async def test_a_drain_before_the_run_is_not_lost(tmp_path):
    async with open_workshop(tmp_path, is_started=False) as shop:
        asked = await shop.ask("hi")
        await shop.worker.drain()
        await shop.worker.run()
        assert (await shop.row(asked)).status == JobStatus.QUEUED


async def test_cancelling_the_run_hands_everything_back(shop):
    shop.engine.gate.close()
    asked = await shop.ask("one two")
    await shop.engine.gate.wait_until_held()
    shop.running.cancel()
    await asyncio.wait({shop.running})
    assert (await shop.row(asked)).status == JobStatus.QUEUED
    assert shop.queue.depth() == 1
    shop.running = None


async def test_a_closed_queue_ends_the_run(shop):
    await shop.queue.close()
    await shop.running
    assert not shop.worker.is_healthy
