"""Answers those who wait for an engine that will never write. Only where no other worker could take their jobs."""

from __future__ import annotations

import asyncio

from core.errors import PersonasError
from core.messages import ReplyChunk, Usage
from core.queue.jobs import JobStatus, ReplyJob
from core.queue.protocol import JobQueue
from core.store.db import Store
from core.worker.ledger_writer import LedgerWriter

AT_ONCE = 64
FETCH_S = 1.0  # for jobs that should be there


async def refuse_waiting(queue: JobQueue, store: Store, error: PersonasError) -> None:
    """Settle every waiting job as failed, and tell its reader why. Returns when none waits, or the queue is closed."""
    ledger = LedgerWriter(store)
    last = ReplyChunk(finish_reason="error", usage=Usage(), error=error.public_sentence, error_status=error.http_status)

    async def refuse(job: ReplyJob) -> None:
        await ledger.settle(job.exchange_id, JobStatus.FAILED, "", last)
        await queue.publish(job.exchange_id, last)
        await queue.settle(job.exchange_id, JobStatus.FAILED)

    while await queue.depth():
        try:
            async with asyncio.timeout(FETCH_S):
                jobs = await queue.fetch(AT_ONCE)
        except TimeoutError:  # what waited was cancelled or has expired meanwhile
            continue
        if not jobs:
            break
        await asyncio.gather(*map(refuse, jobs))
    await ledger.close()
