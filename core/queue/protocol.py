"""The JobQueue protocol: jobs go to a worker, chunks come back. Knows no engine and no store.

Nothing in it needs both sides in one process: whatever one side must know of the other comes as a message.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from core.messages import ReplyChunk
from core.queue.jobs import JobStatus, ReplyJob, ReplyUpdate
from core.queue.worker_facts import WorkerFacts


@dataclass(frozen=True, slots=True)
class DroppedJob:
    """A job that ended without having run: cancelled or past its deadline. `error` is the sentence for the latter."""

    exchange_id: str
    status: JobStatus
    error: str | None = None


class JobQueue(Protocol):
    """Jobs go in at the bot's side, chunks come back. Order holds within a conversation; conversations take turns."""

    async def enqueue(self, job: ReplyJob) -> None:
        """Add a job. Raises QueueFull with a sentence that says how long the wait would be."""

    async def fetch(self, limit: int) -> list[ReplyJob]:
        """Wait for at least one job that may run now, take at most `limit` (at least 1).

        Fair: conversations take turns. A conversation with a running job waits. Jobs past their deadline are settled
        as failed and never handed out; the others say in `timeout_s` what is left. Returns [] only after `close`.
        Cancelling it takes no job.
        """

    async def publish(self, exchange_id: str, chunk: ReplyChunk) -> None:
        """Hand a chunk of a running job to the reader of its reply."""

    async def settle(self, exchange_id: str, status: JobStatus) -> None:
        """End a running job; any worker may. Its conversation's next job becomes free to run.

        Settling twice is harmless.
        """

    async def requeue(self, exchange_id: str) -> None:
        """Give a running job back unanswered; any worker may. It keeps its place at the front of its conversation.

        A reader goes on where it was: what it has read of the reply is skipped when the job runs again, which fits
        because the job's seed makes the same text.
        """

    def updates(self, exchange_id: str) -> AsyncGenerator[ReplyUpdate]:
        """The job's reply as it streams, from its first chunk, ending after the chunk with a finish_reason.

        Before the first chunk comes where the job stands: at once, and from time to time when that changes. Chunks
        published before the reader came are not lost. One reader a job. Ends without a finish_reason only after
        `close`. Raises NotFound for a job that is unknown or was read before, InvalidInput for a second reader.
        """

    async def cancel(self, exchange_id: str) -> bool:
        """Cancel a queued or running job; True if there was one. A queued job's reader gets a "cancelled" chunk."""

    def cancelled(self) -> AsyncIterator[str]:
        """Exchange ids of running jobs that were asked to stop, as they come; read by the worker."""

    def dropped(self) -> AsyncIterator[DroppedJob]:
        """Jobs that ended without having run, as they come; read by the worker, which settles their exchanges."""

    async def announce(self, facts: WorkerFacts) -> None:
        """Tell everybody what the worker's engine is; the latest counts. Called by a worker that is about to fetch."""

    async def facts(self) -> WorkerFacts | None:
        """What a worker announced; None before the first has, while its model loads say."""

    async def depth(self) -> int:
        """Jobs waiting, not counting those that run."""

    async def close(self) -> None:
        """Wake `fetch`, `updates`, `cancelled` and `dropped`, which end."""
