"""Jobs, a clock and readers for tests of the queue."""

from __future__ import annotations

import asyncio

from core.generation import EngineCapabilities, SamplingParams
from core.queue.jobs import QueuePosition, ReplyJob
from core.queue.worker_facts import WorkerFacts


class FrozenClock:
    """Seconds that move only when a test moves them."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def job(exchange_id, conversation_id=None, *, timeout_s=None):
    """A job; each conversation is a person's own."""
    name = conversation_id or exchange_id[0]
    return ReplyJob(exchange_id, name, messages=(), user_id=f"user of {name}", timeout_s=timeout_s)


async def fetch_ids(queue, limit=99):
    return [fetched.exchange_id for fetched in await queue.fetch(limit)]


def worker_facts(*, slots=1):
    return WorkerFacts("echo", slots, 256, SamplingParams(), EngineCapabilities())


async def collect(stream):
    """The items of a stream; of a reply's updates, its chunks."""
    return [item async for item in stream if not isinstance(item, QueuePosition)]


async def next_chunk(updates):
    """The next chunk of a reply, past what is told of its place in line."""
    while isinstance(update := await anext(updates), QueuePosition):
        pass
    return update


async def until_idle():
    """Let everything run that can run now."""
    for _ in range(5):
        await asyncio.sleep(0)
