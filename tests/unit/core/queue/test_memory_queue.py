from __future__ import annotations

import asyncio

import pytest

from core.errors import InvalidInput, NotFound, QueueFull
from core.messages import ReplyChunk
from core.queue.jobs import JobStatus, QueuePosition
from core.queue.memory import MemoryJobQueue
from tests.examples.queue import FrozenClock, collect, fetch_ids, job, next_chunk, until_idle, worker_facts

DONE = ReplyChunk(finish_reason="stop")
CANCELLED = ReplyChunk(finish_reason="cancelled")


async def test_fetch_takes_turns_between_conversations_and_keeps_their_order():
    queue = MemoryJobQueue(10)
    for name in ("a1", "a2", "b1", "c1"):
        await queue.enqueue(job(name))
    assert await fetch_ids(queue, 2) == ["a1", "b1"]
    await queue.settle("a1", JobStatus.SUCCEEDED)
    assert await fetch_ids(queue) == ["c1", "a2"]


async def test_fetch_waits_for_a_job():
    queue = MemoryJobQueue(10)
    fetching = asyncio.create_task(fetch_ids(queue))
    await until_idle()
    assert not fetching.done()
    await queue.enqueue(job("a1"))
    assert await fetching == ["a1"]


async def test_fetch_waits_while_the_only_waiting_conversation_has_a_running_job():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await queue.enqueue(job("a2"))
    assert await fetch_ids(queue) == ["a1"]
    fetching = asyncio.create_task(fetch_ids(queue))
    await until_idle()
    assert not fetching.done()
    await queue.settle("a1", JobStatus.FAILED)
    assert await fetching == ["a2"]


async def test_a_cancelled_fetch_takes_no_job():
    queue = MemoryJobQueue(10)
    fetching = asyncio.create_task(fetch_ids(queue))
    await until_idle()
    await queue.enqueue(job("a1"))  # wakes the fetch, which is cancelled before it runs
    fetching.cancel()
    await asyncio.wait({fetching})
    assert await fetch_ids(queue) == ["a1"]


async def test_two_fetchers_share_the_jobs():
    queue = MemoryJobQueue(10)
    fetchers = [asyncio.create_task(fetch_ids(queue, 1)) for _ in range(2)]
    await until_idle()
    await queue.enqueue(job("a1"))
    await queue.enqueue(job("b1"))
    assert sorted(await asyncio.gather(*fetchers)) == [["a1"], ["b1"]]


async def test_a_full_queue_says_its_size_and_the_wait():
    clock = FrozenClock()
    queue = MemoryJobQueue(2, clock=clock)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    clock.now += 30
    await queue.settle("a1", JobStatus.SUCCEEDED)
    await queue.enqueue(job("b1"))
    await queue.enqueue(job("c1"))
    with pytest.raises(QueueFull, match=r"full: 2 messages are waiting, .* about 60 seconds; try again later\."):
        await queue.enqueue(job("d1"))
    assert await queue.depth() == 2


async def test_a_full_queue_that_has_seen_no_reply_promises_no_time():
    queue = MemoryJobQueue(1)
    await queue.enqueue(job("a1"))
    with pytest.raises(QueueFull, match="would wait a while"):
        await queue.enqueue(job("b1"))


async def test_a_running_job_does_not_count_against_the_size():
    queue = MemoryJobQueue(1)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    await queue.enqueue(job("b1"))
    assert await queue.depth() == 1


async def test_an_exchange_is_queued_once():
    queue = MemoryJobQueue(2)
    await queue.enqueue(job("a1"))
    with pytest.raises(InvalidInput, match="a1"):
        await queue.enqueue(job("a1"))


async def position_of(queue, exchange_id):
    """What its reader is told at once."""
    return await anext(queue.updates(exchange_id))


async def test_positions_and_waits_are_told_once_a_reply_has_finished():
    clock = FrozenClock()
    queue = MemoryJobQueue(10, per_person=10, clock=clock)
    await queue.announce(worker_facts(slots=2))
    await queue.enqueue(job("a1"))
    assert await position_of(queue, "a1") == QueuePosition(0, None)
    await fetch_ids(queue)
    clock.now += 10
    await queue.settle("a1", JobStatus.SUCCEEDED)
    for name in ("b1", "c1"):
        await queue.enqueue(job(name))
        assert await position_of(queue, name) == QueuePosition("bc".index(name[0]), 0.0)
    assert await fetch_ids(queue) == ["b1", "c1"]
    for name, told in {"d1": QueuePosition(0, 5.0), "b2": QueuePosition(1, 10.0)}.items():
        await queue.enqueue(job(name))
        assert await position_of(queue, name) == told


async def test_a_reader_is_told_where_its_job_stands_whenever_that_changes_and_then_that_it_runs():
    queue = MemoryJobQueue(10)
    for name in ("a1", "b1", "c1"):
        await queue.enqueue(job(name))
    updates = queue.updates("c1")
    assert await anext(updates) == QueuePosition(2, None)
    await queue.cancel("a1")
    assert await anext(updates) == QueuePosition(1, None)
    await fetch_ids(queue, 1)
    assert await anext(updates) == QueuePosition(0, None)
    await fetch_ids(queue, 1)
    assert await anext(updates) == QueuePosition(0, 0.0)
    await queue.publish("c1", DONE)
    assert await anext(updates) == DONE


async def test_the_reader_of_a_running_job_is_told_that_it_runs_unless_there_are_words_already():
    queue = MemoryJobQueue(10)
    for name in ("a1", "b1"):
        await queue.enqueue(job(name))
    await fetch_ids(queue)
    await queue.publish("b1", ReplyChunk("Ahoy"))
    assert await anext(queue.updates("a1")) == QueuePosition(0, 0.0)
    assert await anext(queue.updates("b1")) == ReplyChunk("Ahoy")


async def test_of_positions_that_nobody_has_read_yet_only_the_latest_is_kept():
    queue = MemoryJobQueue(10)
    for name in ("a1", "b1", "c1", "d1"):
        await queue.enqueue(job(name))
    updates = queue.updates("d1")
    await anext(updates)
    for name in ("a1", "b1", "c1"):
        await queue.cancel(name)
    assert len(queue._entries["d1"].stream._items) == 1
    assert await anext(updates) == QueuePosition(0, None)


async def test_more_slots_are_announced_to_those_who_wait():
    clock = FrozenClock()
    queue = MemoryJobQueue(10, clock=clock)
    assert await queue.facts() is None
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    clock.now += 10
    await queue.settle("a1", JobStatus.SUCCEEDED)
    for name in ("b1", "c1", "d1"):
        await queue.enqueue(job(name))
    updates = queue.updates("d1")
    assert await anext(updates) == QueuePosition(2, 20.0)
    await queue.announce(worker_facts(slots=2))
    assert await anext(updates) == QueuePosition(2, 5.0)
    assert await queue.facts() == worker_facts(slots=2)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
async def test_only_successes_teach_the_estimate(status):
    clock = FrozenClock()
    queue = MemoryJobQueue(10, clock=clock)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    clock.now += 10
    await queue.settle("a1", status)
    await queue.enqueue(job("b1"))
    assert (await position_of(queue, "b1")).estimated_wait_s is None


async def test_chunks_published_before_the_reader_came_are_not_lost():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    await queue.publish("a1", ReplyChunk("Ahoy"))
    await queue.publish("a1", DONE)
    await queue.settle("a1", JobStatus.SUCCEEDED)
    assert await collect(queue.updates("a1")) == [ReplyChunk("Ahoy"), DONE]


async def test_a_reader_that_came_first_gets_each_chunk_as_it_comes_and_ends_after_the_last():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    chunks = queue.updates("a1")
    first = asyncio.ensure_future(next_chunk(chunks))
    await fetch_ids(queue)
    await queue.publish("a1", ReplyChunk("Ahoy"))
    assert await first == ReplyChunk("Ahoy")
    await queue.publish("a1", DONE)
    assert await collect(chunks) == [DONE]


async def test_a_reply_is_read_once():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    reading = asyncio.create_task(collect(queue.updates("a1")))
    await until_idle()
    with pytest.raises(InvalidInput, match="read once"):
        await collect(queue.updates("a1"))
    await queue.cancel("a1")
    assert await reading == [CANCELLED]
    with pytest.raises(NotFound, match="a1"):
        await collect(queue.updates("a1"))


async def test_what_is_published_after_the_reader_left_is_not_kept():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    await fetch_ids(queue)
    await queue.publish("a1", ReplyChunk("Ahoy"))
    chunks = queue.updates("a1")
    await anext(chunks)
    await chunks.aclose()
    stream = queue._entries["a1"].stream
    await queue.publish("a1", ReplyChunk("matey"))
    assert not stream._items


async def test_a_settled_and_read_job_is_forgotten():
    queue = MemoryJobQueue(10)
    await queue.enqueue(job("a1"))
    reading = asyncio.create_task(collect(queue.updates("a1")))
    await fetch_ids(queue)
    await queue.publish("a1", DONE)
    await queue.settle("a1", JobStatus.SUCCEEDED)
    await reading
    assert not queue._entries
    assert not queue._unread


async def test_replies_nobody_reads_are_kept_up_to_the_size_and_then_forgotten_oldest_first():
    queue = MemoryJobQueue(2)
    for name in ("a1", "b1", "c1"):
        await queue.enqueue(job(name))
        await queue.cancel(name)
    with pytest.raises(NotFound):
        await collect(queue.updates("a1"))
    assert await collect(queue.updates("b1")) == [CANCELLED]
    assert await collect(queue.updates("c1")) == [CANCELLED]


async def test_one_person_fills_a_quarter_of_the_queue_and_others_still_get_in():
    queue = MemoryJobQueue(8)
    await queue.enqueue(job("a1"))
    await queue.enqueue(job("a2"))
    with pytest.raises(QueueFull, match="2 of the queue's 8 places"):
        await queue.enqueue(job("a3"))
    await queue.enqueue(job("b1"))
    assert await fetch_ids(queue) == ["a1", "b1"]
    await queue.enqueue(job("a3"))
    assert await queue.depth() == 2
