"""The queue of one process, in memory. Knows no engine and no store."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from core.errors import DeadlineExceeded, InvalidInput, NotFound, QueueFull
from core.messages import ReplyChunk
from core.queue.fair_line import FairLine, Place
from core.queue.jobs import JobStatus, QueuePosition, ReplyJob, ReplyUpdate
from core.queue.mailbox import Mailbox
from core.queue.protocol import DroppedJob
from core.queue.wait_estimate import WaitEstimate
from core.queue.worker_facts import WorkerFacts

SHARES = 4  # nobody's messages fill more than one of as many parts of the queue
RUNNING = QueuePosition(0, 0.0)


@dataclass(slots=True, eq=False)
class _Entry:
    """A job that waits or runs."""

    job: ReplyJob
    deadline: float | None  # on the queue's clock, as is `started_at`
    stream: Mailbox[ReplyUpdate] = field(default_factory=Mailbox)
    started_at: float | None = None  # None while it waits
    has_reader: bool = False
    is_cancelled: bool = False
    expiry: asyncio.TimerHandle | None = None
    published_chars: int = 0
    skip_chars: int = 0  # of a reply that is written again, what its reader already has
    published_thoughts: int = 0
    skip_thoughts: int = 0
    told: QueuePosition | None = None

    def tell(self, position: QueuePosition) -> None:
        """Let the reader know where the job stands, if that is news."""
        if self.has_reader and position != self.told:
            self.stream.put(position, instead_of=self.told)
            self.told = position


class MemoryJobQueue:
    """A JobQueue for one process: at most `size` waiting jobs, of one person `per_person`, else a quarter.

    The last `size` settled replies that nobody has come to read are kept, older ones are forgotten. Timeouts are
    counted on `clock`, which nobody sets: seconds since some moment. Positions are told whenever they change.
    """

    def __init__(
        self, size: int, *, per_person: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._per_person = per_person or max(1, size // SHARES)
        self._clock = clock
        self._line = FairLine()
        self._estimate = WaitEstimate()
        self._entries: dict[str, _Entry] = {}
        self._unread: OrderedDict[str, Mailbox[ReplyUpdate]] = OrderedDict()
        self._facts: WorkerFacts | None = None
        self._cancelled: Mailbox[str] = Mailbox()
        self._dropped: Mailbox[DroppedJob] = Mailbox()
        self._can_fetch = asyncio.Event()
        self._is_closed = False

    async def enqueue(self, job: ReplyJob) -> None:
        if self._is_closed:
            raise QueueFull("The service is stopping and takes no new messages; try again in a minute.")
        if job.exchange_id in self._entries or job.exchange_id in self._unread:
            raise InvalidInput(f"The exchange {job.exchange_id} is in the queue already; give every message its own.")
        if len(self._line) >= self._size:
            raise QueueFull(self._describe_full())
        if self._line.waiting_of(job.user_id) >= self._per_person:
            raise QueueFull(
                f"One person may have {self._per_person} of the queue's {self._size} places, and yours are taken; wait"
                " until a message of yours is answered."
            )
        deadline = None if job.timeout_s is None else self._clock() + job.timeout_s
        entry = self._entries[job.exchange_id] = _Entry(job, deadline)
        self._line.add(job)
        self._wait_or_expire(entry)
        self._note_change()

    async def fetch(self, limit: int) -> list[ReplyJob]:
        while not self._is_closed:
            jobs = self._take(limit)
            if jobs:
                self._tell_positions()
                return jobs
            self._can_fetch.clear()
            await self._can_fetch.wait()
        return []

    async def publish(self, exchange_id: str, chunk: ReplyChunk) -> None:
        entry = self._entries.get(exchange_id)
        if entry is None:
            return
        text = chunk.text[entry.skip_chars :]
        entry.skip_chars -= len(chunk.text) - len(text)
        entry.published_chars += len(text)
        thoughts = chunk.thoughts[entry.skip_thoughts :]
        entry.skip_thoughts -= len(chunk.thoughts) - len(thoughts)
        entry.published_thoughts += len(thoughts)
        if text or thoughts or chunk.finish_reason is not None:
            entry.stream.put(replace(chunk, text=text, thoughts=thoughts))

    async def settle(self, exchange_id: str, status: JobStatus) -> None:
        entry = self._entries.get(exchange_id)
        if entry is None or entry.started_at is None:
            return
        if status is JobStatus.SUCCEEDED:
            self._estimate.learn(self._clock() - entry.started_at)
        self._line.finish(entry.job)
        self._forget(entry)
        self._note_change()

    async def requeue(self, exchange_id: str) -> None:
        entry = self._entries.get(exchange_id)
        if entry is None or entry.started_at is None:
            return
        entry.started_at = None
        entry.skip_chars, entry.skip_thoughts = entry.published_chars, entry.published_thoughts
        self._line.put_back(entry.job)
        if entry.is_cancelled:
            self._drop(entry, JobStatus.CANCELLED)
        else:
            self._wait_or_expire(entry)
        self._note_change()

    async def updates(self, exchange_id: str) -> AsyncGenerator[ReplyUpdate]:
        entry = self._entries.get(exchange_id)
        if entry is not None and entry.has_reader:
            raise InvalidInput(f"The reply {exchange_id} is being read already; it can be read once.")
        stream = entry.stream if entry is not None else self._unread.pop(exchange_id, None)
        if stream is None:
            raise NotFound(f"There is no unread reply {exchange_id} in the queue; send the message again.")
        if entry is not None:
            entry.has_reader = True
            self._tell_positions()
        try:
            async for update in stream:
                yield update
                if isinstance(update, ReplyChunk) and update.finish_reason is not None:
                    return
        finally:
            stream.close()  # what is published after the reader left is not kept
            stream.clear()

    async def cancel(self, exchange_id: str) -> bool:
        entry = self._entries.get(exchange_id)
        if entry is None:
            return False
        if entry.started_at is None:
            self._drop(entry, JobStatus.CANCELLED)
        elif not entry.is_cancelled:
            entry.is_cancelled = True
            self._cancelled.put(exchange_id)
        return True

    def cancelled(self) -> AsyncIterator[str]:
        return self._cancelled

    def dropped(self) -> AsyncIterator[DroppedJob]:
        return self._dropped

    async def announce(self, facts: WorkerFacts) -> None:
        self._facts = facts
        self._tell_positions()

    async def facts(self) -> WorkerFacts | None:
        return self._facts

    async def depth(self) -> int:
        return len(self._line)

    async def close(self) -> None:
        self._is_closed = True
        self._can_fetch.set()
        self._cancelled.close()
        self._dropped.close()
        for entry in self._entries.values():
            entry.stream.close()
            if entry.expiry is not None:
                entry.expiry.cancel()

    def _take(self, limit: int) -> list[ReplyJob]:
        """At most `limit` jobs that may run now, each marked as running."""
        jobs: list[ReplyJob] = []
        while len(jobs) < limit and self._line.can_take:
            job = self._line.take()
            entry = self._entries[job.exchange_id]
            entry.started_at = self._clock()
            left_s = None if entry.deadline is None else entry.deadline - entry.started_at
            if left_s is not None and left_s <= 0:
                self._line.put_back(job)
                self._expire(entry)
                continue
            if entry.expiry is not None:
                entry.expiry.cancel()
            jobs.append(replace(job, timeout_s=left_s))
        return jobs

    def _wait_or_expire(self, entry: _Entry) -> None:
        """Let a waiting job expire at its deadline even when nobody fetches, because every slot is busy."""
        if entry.deadline is None or self._is_closed:
            return
        left_s = entry.deadline - self._clock()
        if left_s <= 0:
            self._expire(entry)
        else:
            entry.expiry = asyncio.get_running_loop().call_later(left_s, self._wait_or_expire, entry)

    def _expire(self, entry: _Entry) -> None:
        error = DeadlineExceeded(
            "The message waited in the queue past its deadline and was given up; send it again in a while."
        )
        self._drop(entry, JobStatus.FAILED, str(error))

    def _drop(self, entry: _Entry, status: JobStatus, error: str | None = None) -> None:
        """End a waiting job."""
        self._line.remove(entry.job)
        late = ReplyChunk(finish_reason="error", error=error, error_status=DeadlineExceeded.http_status)
        entry.stream.put(late if error else ReplyChunk(finish_reason="cancelled"))
        self._forget(entry)
        self._tell_positions()
        self._dropped.put(DroppedJob(entry.job.exchange_id, status, error))

    def _forget(self, entry: _Entry) -> None:
        """Let go of an ended job, but keep its reply for a reader that is still to come."""
        del self._entries[entry.job.exchange_id]
        entry.stream.close()
        if entry.expiry is not None:
            entry.expiry.cancel()
        if not entry.has_reader:
            self._unread[entry.job.exchange_id] = entry.stream
            if len(self._unread) > self._size:
                self._unread.popitem(last=False)

    def _note_change(self) -> None:
        """Others may be next now."""
        self._can_fetch.set()
        self._tell_positions()

    def _tell_positions(self) -> None:
        """Tell every reader whose reply has no text yet where its job stands."""
        places = self._line.places()
        for exchange_id, entry in self._entries.items():
            if entry.published_chars == 0:
                place = places.get(exchange_id)
                entry.tell(RUNNING if place is None else QueuePosition(place.ahead, self._wait_s(place)))

    def _wait_s(self, place: Place) -> float | None:
        running = len(self._entries) - len(self._line)
        return self._estimate.wait_s(place, running=running, slots=1 if self._facts is None else self._facts.slots)

    def _describe_full(self) -> str:
        wait_s = self._wait_s(Place(len(self._line), 0))
        wait = "a while" if wait_s is None else f"about {max(1, round(wait_s))} seconds"
        return (
            f"The queue is full: {self._size} messages are waiting, and a new one would wait {wait}; try again later."
        )
