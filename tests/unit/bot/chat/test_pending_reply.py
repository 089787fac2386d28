"""A reply on its way from the queue to its reader."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from core.messages import ReplyChunk
from core.queue.memory import MemoryJobQueue
from tests.examples.responder import message, rows


async def read(reply):
    return [chunk async for chunk in reply.chunks()]


async def test_a_sender_who_leaves_while_the_message_is_queued_has_it_cancelled(responder, store):
    class SlowQueue(MemoryJobQueue):
        def __init__(self):
            super().__init__(2)
            self.is_reached, self.may_go_on = asyncio.Event(), asyncio.Event()

        async def enqueue(self, job):
            self.is_reached.set()
            await self.may_go_on.wait()
            return await super().enqueue(job)

    queue = responder._queue = SlowQueue()
    opening = asyncio.create_task(responder.open(message()))
    await queue.is_reached.wait()
    opening.cancel()
    await asyncio.sleep(0)
    queue.may_go_on.set()
    await asyncio.wait({opening})
    assert opening.cancelled()
    (row,) = await rows(store)
    assert (await anext(queue.dropped())).exchange_id == row.id  # from which the worker settles it


async def test_a_sender_who_leaves_at_any_moment_leaves_no_lock_and_no_job_behind(responder, store, queue):
    async def is_left_after(ticks: int) -> bool:
        opening = asyncio.create_task(responder.open(message(event_id=f"e{ticks}")))
        for _ in range(ticks):
            await asyncio.sleep(0.0005)
        opening.cancel()
        await asyncio.wait({opening})
        return opening.cancelled()

    ticks = 0
    while await is_left_after(ticks):
        async with asyncio.timeout(5), store.write() as session:
            await session.execute(text("UPDATE exchanges SET error = error"))
        assert await queue.depth() == 0
        ticks += 1
    assert ticks > 3


async def test_the_reply_streams_to_its_last_chunk(responder, queue):
    reply = await responder.open(message())
    await queue.fetch(1)
    chunks = [ReplyChunk("Breathe. "), ReplyChunk("In.", "stop")]
    for chunk in chunks:
        await queue.publish(reply.exchange_id, chunk)
    assert await read(reply) == chunks


async def test_leaving_a_reply_early_cancels_its_job(responder, queue):
    reply = await responder.open(message())
    await queue.fetch(1)
    await queue.publish(reply.exchange_id, ReplyChunk("Breathe."))
    chunks = reply.chunks()
    await anext(chunks)
    await chunks.aclose()
    assert await anext(queue.cancelled()) == reply.exchange_id


async def test_reading_to_the_end_cancels_nothing(responder, queue):
    reply = await responder.open(message())
    await queue.fetch(1)
    await queue.publish(reply.exchange_id, ReplyChunk("Breathe.", "stop"))
    chunks = reply.chunks()
    await anext(chunks)
    await chunks.aclose()
    await queue.close()
    assert [exchange_id async for exchange_id in queue.cancelled()] == []


async def test_a_cancelled_reply_says_so_to_its_reader(responder):
    reply = await responder.open(message())
    reading = asyncio.create_task(read(reply))
    await asyncio.sleep(0)
    await reply.cancel()
    assert await reading == [ReplyChunk(finish_reason="cancelled")]


async def test_a_service_that_stops_tells_whoever_still_waits(responder, queue):
    reply = await responder.open(message())
    reading = asyncio.create_task(read(reply))
    await asyncio.sleep(0)
    await queue.close()
    (last,) = await reading
    assert last.finish_reason == "error"
    assert "stopping" in last.error
