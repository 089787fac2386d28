"""The worker's story: load the engine, then fetch -> prompt -> engine -> publish -> settle, one asyncio task a job.

A job that was fetched is always settled, or handed back when the worker drains: whatever fails, its reader gets a last
chunk, and the ledger learns how it ended. Knows no chat platform.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from core import prompts
from core.engine.base import Engine
from core.errors import DeadlineExceeded, EngineFailed, PersonasError
from core.generation import GenerationRequest, SamplingParams
from core.messages import ReplyChunk, Usage
from core.queue.jobs import JobStatus, ReplyJob
from core.queue.protocol import DroppedJob, JobQueue
from core.queue.worker_facts import WorkerFacts
from core.store.db import Store
from core.thinking import ThinkingFilter
from core.worker.ledger_writer import LedgerWriter
from core.worker.shadow import Shadow

logger = logging.getLogger(__name__)

STOP_GRACE_S = 5.0  # an engine that was asked to cancel a reply gets this long to say its last chunk
STATUS_OF = {
    "stop": JobStatus.SUCCEEDED,
    "length": JobStatus.SUCCEEDED,
    "cancelled": JobStatus.CANCELLED,
    "error": JobStatus.FAILED,
}

StopReason = Literal["cancelled", "handed back"]


@dataclass(slots=True, eq=False)
class _Reply:
    """A reply in the making. `sampling` is known once it runs, `stop` says why it ends before its time."""

    job: ReplyJob
    deadline: float | None  # on the event loop's clock
    sampling: SamplingParams | None = None
    texts: list[str] = field(default_factory=list)
    stop: StopReason | None = None
    timeout: asyncio.Timeout | None = None

    def stop_within(self, grace_s: float, reason: StopReason) -> None:
        """Let the reply come to an end, and cut it off after the grace time."""
        self.stop = self.stop or reason
        if self.timeout is not None and not self.timeout.expired():
            latest = asyncio.get_running_loop().time() + grace_s
            when = self.timeout.when()
            self.timeout.reschedule(latest if when is None else min(latest, when))


class Worker:
    """Feeds one engine from a queue. `run` it as a task; `drain` ends it.

    `drain_timeout_s` is how long running replies get to finish when it drains.
    """

    def __init__(
        self,
        queue: JobQueue,
        engine: Engine,
        store: Store,
        *,
        drain_timeout_s: float,
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._ledger = LedgerWriter(store)
        self.shadow = Shadow(engine, store)
        self._drain_timeout_s = drain_timeout_s
        self._writing: dict[str, _Reply] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Event()
        self._drain_requested = asyncio.Event()
        self._finished = asyncio.Event()
        self._is_running = False
        self.is_ready = asyncio.Event()  # set once the engine is loaded and jobs are taken

    @property
    def is_healthy(self) -> bool:
        """True while it takes jobs and its engine can write."""
        return self._is_running and not self._drain_requested.is_set() and self._engine.is_healthy

    async def run(self) -> None:
        """Load the engine, and work until a drain is asked for or the queue closes; then finish or hand back what runs.

        Cancelling it hands everything back at once. What is cancelled or expires while the engine still loads is
        settled. Raises what the engine's start raises.
        """
        self._is_running = True
        self._finished.clear()
        fetching = asyncio.create_task(self._load_and_fetch())
        draining = asyncio.create_task(self._drain_requested.wait())
        watching = [asyncio.create_task(self._watch_cancelled()), asyncio.create_task(self._watch_dropped())]
        try:
            await asyncio.wait({fetching, draining}, return_when=asyncio.FIRST_COMPLETED)
            await _end(fetching, draining)
            await self._finish(self._drain_timeout_s)
        except asyncio.CancelledError:
            await _end(fetching, draining)
            await self._finish(0.0)
            raise
        finally:
            await _end(*watching)
            self._is_running = False
            self._finished.set()
        if not fetching.cancelled():
            fetching.result()  # raises what broke the engine's start or the queue, if something did

    async def drain(self, timeout_s: float | None = None) -> None:
        """Take no new jobs, give running replies `timeout_s` to finish, hand the others back, and end `run`.

        A drain asked for before `run` began is not lost: `run` then ends at once.
        """
        if timeout_s is not None:
            self._drain_timeout_s = timeout_s
        self._drain_requested.set()
        if self._is_running:
            await self._finished.wait()

    async def _load_and_fetch(self) -> None:
        engine = self._engine
        await engine.start()
        facts = (engine.slots, engine.max_context_tokens, engine.default_sampling, engine.capabilities)
        await self._queue.announce(WorkerFacts(engine.base_model, *facts))
        self.is_ready.set()
        await self._fetch_and_start()

    async def _fetch_and_start(self) -> None:
        """Nothing is awaited between a fetch and its starts, so that cancelling this loses no job."""
        while not self._drain_requested.is_set():
            self._has_room.clear()
            room = self._engine.slots - len(self._writing)
            if room < 1:
                await self._has_room.wait()
                continue
            jobs = await self._queue.fetch(room)
            if not jobs:
                return
            now = asyncio.get_running_loop().time()
            for job in jobs:
                deadline = None if job.timeout_s is None else now + job.timeout_s
                reply = self._writing[job.exchange_id] = _Reply(job, deadline)
                self._start(self._run_job(reply))
            self.shadow.make_room(self._engine.slots - len(self._writing))

    async def _run_job(self, reply: _Reply) -> None:
        """The job boundary: every failure becomes a last chunk, and every job is settled or handed back."""
        job = reply.job
        last: ReplyChunk | None = None
        try:
            await self._ledger.mark_running(job.exchange_id)
            last = await self._write(reply)
        except PersonasError as error:
            if error.public is not None:
                logger.error("reply %s failed: %s", job.exchange_id, error)
            last = _failure(error.public_sentence, error.http_status)
        except asyncio.CancelledError:
            await self._hand_back(job)
            raise
        except Exception:
            logger.exception("reply %s broke", job.exchange_id)
            last = _failure(
                "The reply could not be written because of an internal error; send the message again, and if that"
                " does not help, ask the operator to look into the worker's log."
            )
        finally:
            del self._writing[job.exchange_id]
            self._has_room.set()
            self.shadow.settle(job.exchange_id, _shown(reply, last))
        if last is None:
            await self._hand_back(job)
        else:
            await self._settle(reply, last)

    async def _write(self, reply: _Reply) -> ReplyChunk | None:
        """Write one reply. Gives its last chunk, not published yet; None when the job is to be handed back."""
        try:
            async with asyncio.timeout_at(reply.deadline) as timeout:
                reply.timeout = timeout
                if reply.stop is None:
                    last = await self._stream(reply)
                    is_ended = last.finish_reason != "cancelled" or reply.stop != "handed back"
                    return last if is_ended else None
        except TimeoutError:
            if not timeout.expired():
                raise  # the engine's own
        if reply.stop == "handed back":
            return None
        if reply.stop == "cancelled":
            return ReplyChunk(finish_reason="cancelled", usage=Usage())
        raise DeadlineExceeded(
            "The reply was not finished by its deadline and was stopped; send the message again, or ask for less."
        )

    async def _stream(self, reply: _Reply) -> ReplyChunk:
        """Publish the engine's chunks as they come. The last one is given back: it waits for the ledger."""
        if not self._engine.is_healthy:
            raise EngineFailed("The engine has stopped and writes no replies; ask the operator to start it again.")
        self._engine.capabilities.check(reply.job.adapters)
        request, dropped = await asyncio.to_thread(self._request, reply.job)  # counting tokens can take seconds
        reply.sampling = request.sampling
        if reply.stop is not None:  # meanwhile, and the engine knows nothing of this reply yet
            return ReplyChunk(finish_reason="cancelled", usage=Usage())
        if self.shadow.challenges and not await self._queue.depth():
            self.shadow.begin(request, free_slots=self._engine.slots - len(self._writing))
        last: ReplyChunk | None = None
        parting = ThinkingFilter(is_open=self._engine.capabilities.begins_in_thought)
        try:
            async for written in self._engine.submit(request):
                chunk = parting.part(written)
                reply.texts.append(chunk.text)
                told = replace(chunk, dropped=dropped) if dropped else chunk
                if chunk.finish_reason is None:
                    await self._queue.publish(request.request_id, told)
                else:
                    last = told
        finally:
            if last is None:
                await self._engine.cancel(request.request_id)
        if last is None:
            raise EngineFailed("The engine ended the reply without saying why; send the message again.")
        return last

    def _request(self, job: ReplyJob) -> tuple[GenerationRequest, int]:
        """Fit the conversation beside the reply, for which at most half of the context is kept free.

        Also gives how many older messages did not fit.
        """
        context = self._engine.max_context_tokens
        sampling = job.sampling.apply(self._engine.default_sampling)
        prompt = prompts.build(
            job.system_prompt,
            job.messages,
            budget_tokens=context - min(sampling.max_new_tokens, context // 2),
            count_tokens=self._engine.count_tokens,
        )
        request = GenerationRequest(job.exchange_id, job.conversation_id, prompt.messages, job.adapters, sampling)
        return request, prompt.dropped

    async def _settle(self, reply: _Reply, last: ReplyChunk) -> None:
        """The ledger first: a person who has read the last chunk may judge the reply."""
        exchange_id, status = reply.job.exchange_id, STATUS_OF[last.finish_reason or "error"]
        await self._ledger.settle(exchange_id, status, "".join(reply.texts), last, reply.sampling)
        await self._queue.publish(exchange_id, last)
        await self._queue.settle(exchange_id, status)
        logger.info("reply %s %s", exchange_id, status)

    async def _hand_back(self, job: ReplyJob) -> None:
        """The ledger first: once the queue has the job, another worker may run it."""
        await self._ledger.requeue(job.exchange_id)
        await self._queue.requeue(job.exchange_id)
        logger.info("reply %s handed back", job.exchange_id)

    async def _watch_cancelled(self) -> None:
        async for exchange_id in self._queue.cancelled():
            if reply := self._writing.get(exchange_id):
                reply.stop_within(STOP_GRACE_S, "cancelled")
                self._start(self._engine.cancel(exchange_id))

    async def _watch_dropped(self) -> None:
        async for job in self._queue.dropped():
            self._start(self._settle_dropped(job))

    async def _settle_dropped(self, job: DroppedJob) -> None:
        last = _failure(job.error) if job.error else ReplyChunk(finish_reason="cancelled")
        await self._ledger.settle(job.exchange_id, job.status, "", last)
        logger.info("reply %s %s before it ran", job.exchange_id, job.status)

    async def _finish(self, timeout_s: float) -> None:
        """Wait for what runs, hand back what takes longer than the timeout, and write what the ledger lacks."""
        await self.shadow.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for reply in self._writing.values():
            reply.stop_within(0.0, "handed back")
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._ledger.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("A task of the worker broke", exc_info=error)


def _shown(reply: _Reply, last: ReplyChunk | None) -> str | None:
    """The reply's text if it came to its own end."""
    return "".join(reply.texts) if last is not None and last.finish_reason in ("stop", "length") else None


def _failure(error: str, status: int = 500) -> ReplyChunk:
    return ReplyChunk(finish_reason="error", usage=Usage(), error=error, error_status=status)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
