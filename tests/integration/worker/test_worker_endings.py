"""How a worker ends: drained, hurried, cancelled, or with its queue."""

from __future__ import annotations

import asyncio

import pytest

from core.engine.echo_engine import EchoEngine
from core.errors import EngineFailed
from core.messages import ReplyChunk
from core.queue.jobs import JobStatus
from core.worker.refusal import refuse_waiting
from core.worker.worker import Worker
from tests.examples.queue import collect, next_chunk, until_idle
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
    assert await shop.queue.depth() == 1


async def test_what_does_not_finish_in_time_is_handed_back_and_finished_by_the_next_worker(shop):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two three")
    chunks = shop.queue.updates(asked)
    assert await next_chunk(chunks) == ReplyChunk("one ")
    await shop.drain(timeout_s=0)
    row = await shop.row(asked)
    assert (row.status, row.started_at, await shop.queue.depth()) == ("queued", None, 1)
    assert shop.engine.stats().running == 0

    shop.engine.gate.open()
    shop.worker = Worker(shop.queue, shop.engine, shop.store, drain_timeout_s=30)
    shop.start()
    assert text_of(await collect(chunks)) == "two three"
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
    assert await shop.queue.depth() == 1
    shop.running = None


async def test_a_closed_queue_ends_the_run(shop):
    await shop.queue.close()
    await shop.running
    assert not shop.worker.is_healthy


class LoadingEngine(EchoEngine):
    """Loads until it is told how that ends."""

    def __init__(self):
        super().__init__(slots=2)
        self.loading = asyncio.get_running_loop().create_future()

    async def start(self):
        await asyncio.shield(self.loading)
        await super().start()


@pytest.fixture
async def loading(tmp_path):
    """A worker whose engine is still loading; only `run` starts it."""
    engine = LoadingEngine()
    async with open_workshop(tmp_path, engine=engine, is_engine_started=False) as shop:
        yield shop
        if not engine.loading.done():
            engine.loading.set_result(None)


async def test_a_message_that_comes_while_the_engine_loads_waits_and_is_answered(loading):
    asked = await loading.ask("good morning")
    await until_idle()
    assert (await loading.row(asked)).status == JobStatus.QUEUED
    assert not loading.worker.is_ready.is_set()
    loading.engine.loading.set_result(None)
    assert text_of(await loading.read(asked)) == "good morning"


async def test_what_is_cancelled_or_expires_while_the_engine_loads_is_settled_then(loading):
    cancelled = await loading.ask("never mind")
    expired = await loading.ask("too late", timeout_s=0.01)
    await loading.queue.cancel(cancelled)
    for asked, status in {cancelled: JobStatus.CANCELLED, expired: JobStatus.FAILED}.items():
        await loading.read(asked)
        while (await loading.row(asked)).status != status:  # noqa: ASYNC110 - a row sets no event
            await asyncio.sleep(0)


async def test_a_drain_does_not_wait_for_an_engine_that_loads(loading):
    waiting = await loading.ask("waiting")
    await loading.drain()
    assert (await loading.row(waiting)).status == JobStatus.QUEUED


async def test_an_engine_that_cannot_be_loaded_ends_the_worker_with_its_error(loading):
    loading.engine.loading.set_exception(EngineFailed("The model is broken; choose another."))
    with pytest.raises(EngineFailed, match="is broken"):
        await loading.running
    loading.running = None


async def test_refusing_answers_everybody_who_waits_and_returns(tmp_path):
    async with open_workshop(tmp_path, is_started=False) as shop:
        asked = [await shop.ask("hi", conversation=conversation) for conversation in "aab"]
        await refuse_waiting(shop.queue, shop.store, EngineFailed("There is no model."))
        for exchange_id in asked:
            (last,) = await shop.read(exchange_id)
            assert (last.finish_reason, last.error, last.error_status) == ("error", "There is no model.", 500)
            row = await shop.row(exchange_id)
            assert (row.status, row.error) == (JobStatus.FAILED, "There is no model.")
        assert await shop.queue.depth() == 0
