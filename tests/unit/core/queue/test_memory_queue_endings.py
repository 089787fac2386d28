from __future__ import annotations

import asyncio

import pytest

from core.errors import QueueFull
from core.messages import ReplyChunk, Usage
from core.queue.jobs import JobStatus
from core.queue.memory import MemoryJobQueue
from core.queue.protocol import DroppedJob
from tests.examples.queue import FrozenClock, collect, fetch_ids, job, until_idle

DONE = ReplyChunk(finish_reason="stop")
CANCELLED = ReplyChunk(finish_reason="cancelled")


async def test_cancelling_a_queued_job_ends_its_reply_and_tells_the_worker():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    assert await queue.cancel("a1") is True
    assert await queue.depth() == 0
    assert await collect(queue.updates("a1")) == [CANCELLED]
    assert await anext(queue.dropped()) == DroppedJob("a1", JobStatus.CANCELLED)


async def test_cancelling_a_running_job_tells_the_worker_once_and_leaves_the_end_to_it():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    assert await queue.cancel("a1") is True
    assert await queue.cancel("a1") is True
    assert "a1" in queue._entries
    await queue.settle("a1", JobStatus.CANCELLED)
    await queue.close()
    assert await collect(queue.cancelled()) == ["a1"]


async def test_cancelling_an_unknown_or_settled_job_says_false():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    await queue.settle("a1", JobStatus.SUCCEEDED)
    assert await queue.cancel("a1") is False
    assert await queue.cancel("nobody") is False


async def test_settling_twice_or_settling_a_waiting_job_changes_nothing():
    queue = MemoryJobQueue(10, per_person=10)
    for name in ("a1", "a2", "a3"):
        await queue.enqueue(job(name))
    await fetch_ids(queue)
    await queue.settle("a1", JobStatus.SUCCEEDED)
    await queue.settle("a1", JobStatus.SUCCEEDED)
    await queue.settle("a3", JobStatus.SUCCEEDED)
    assert await queue.depth() == 2
    assert await fetch_ids(queue) == ["a2"]


async def test_a_requeued_job_is_handed_out_first_again():
    queue = MemoryJobQueue(10)
    for name in ("a1", "a2", "b1"):
        await queue.enqueue(job(name))
    assert await fetch_ids(queue, 1) == ["a1"]
    await queue.requeue("a1")
    assert await fetch_ids(queue) == ["a1", "b1"]


async def test_the_reader_of_a_requeued_job_gets_no_text_twice():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    await queue.publish("a1", ReplyChunk("Ahoy, "))
    await queue.requeue("a1")
    await fetch_ids(queue)
    for text in ("Ah", "oy, mat", "ey"):
        await queue.publish("a1", ReplyChunk(text))
    await queue.publish("a1", DONE)
    assert await collect(queue.updates("a1")) == [ReplyChunk("Ahoy, "), ReplyChunk("mat"), ReplyChunk("ey"), DONE]


async def test_a_job_cancelled_while_it_ran_is_not_handed_out_again_when_it_is_requeued():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    await queue.cancel("a1")
    await queue.requeue("a1")
    assert await queue.depth() == 0
    assert await collect(queue.updates("a1")) == [CANCELLED]
    assert await anext(queue.dropped()) == DroppedJob("a1", JobStatus.CANCELLED)


async def test_a_job_past_its_deadline_is_failed_with_a_sentence_instead_of_handed_out():
    clock = FrozenClock()
    queue = MemoryJobQueue(10, clock=clock)
    await queue.enqueue(job("a1", timeout_s=60))
    await queue.enqueue(job("b1"))
    clock.now += 61
    assert await fetch_ids(queue) == ["b1"]
    (chunk,) = await collect(queue.updates("a1"))
    assert (chunk.finish_reason, chunk.error_status) == ("error", 504)
    assert "deadline" in chunk.error
    assert await anext(queue.dropped()) == DroppedJob("a1", JobStatus.FAILED, chunk.error)


async def test_an_expired_job_does_not_cost_its_conversation_the_turn():
    clock = FrozenClock()
    queue = MemoryJobQueue(10, clock=clock)
    await queue.enqueue(job("a1", timeout_s=60))
    await queue.enqueue(job("a2"))
    await queue.enqueue(job("b1"))
    clock.now += 60
    assert await fetch_ids(queue, 1) == ["a2"]


async def test_a_job_expires_even_when_nobody_fetches():
    clock = FrozenClock()
    queue = MemoryJobQueue(10, clock=clock)
    await queue.enqueue(job("a1", timeout_s=0.01))
    reading = asyncio.create_task(collect(queue.updates("a1")))
    clock.now += 60  # the timer runs on the loop's own clock, and asks this one
    (chunk,) = await reading
    assert chunk.finish_reason == "error"
    assert await queue.depth() == 0


async def test_a_job_that_came_too_late_fails_at_once():
    clock = FrozenClock()
    queue = MemoryJobQueue(10, clock=clock)
    await queue.enqueue(job("a1", timeout_s=-1))
    (chunk,) = await collect(queue.updates("a1"))
    assert chunk.finish_reason == "error"


async def test_closing_ends_everybody_who_waits():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1", timeout_s=60))
    await fetch_ids(queue)
    waiting = [
        asyncio.create_task(fetch_ids(queue)),
        *(asyncio.create_task(collect(s)) for s in (queue.updates("a1"), queue.cancelled(), queue.dropped())),
    ]
    await until_idle()
    await queue.close()
    assert await asyncio.gather(*waiting) == [[], [], [], []]


async def test_a_closed_queue_takes_no_job_and_hands_none_out():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await queue.close()
    assert await fetch_ids(queue) == []
    with pytest.raises(QueueFull, match="stopping"):
        await queue.enqueue(job("b1"))


async def test_a_chunk_arrives_as_it_was_published():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    failure = ReplyChunk("x", "error", Usage(1, 2, 3), "It broke; try again.", 504)
    await queue.publish("a1", failure)
    assert await collect(queue.updates("a1")) == [failure]


async def test_publishing_to_a_job_that_is_gone_is_harmless():
    queue = MemoryJobQueue(10)
    await queue.publish("nobody", DONE)
    await queue.requeue("nobody")
    await queue.settle("nobody", JobStatus.FAILED)
    assert await queue.depth() == 0
