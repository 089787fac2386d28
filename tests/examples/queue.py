"""Jobs, a clock and readers for tests of the queue."""

from __future__ import annotations

import asyncio

from core.queue.jobs import ReplyJob


class FrozenClock:
    """Unix seconds that move only when a test moves them."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def job(exchange_id, conversation_id=None, *, deadline_at=None):
    return ReplyJob(exchange_id, conversation_id or exchange_id[0], messages=(), deadline_at=deadline_at)


async def fetch_ids(queue, limit=99):
    return [fetched.exchange_id for fetched in await queue.fetch(limit)]


async def collect(stream):
    return [item async for item in stream]


async def until_idle():
    """Let everything run that can run now."""
    for _ in range(5):
        await asyncio.sleep(0)
