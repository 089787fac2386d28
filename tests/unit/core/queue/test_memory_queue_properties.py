"""Any order of enqueue, fetch, publish, settle, requeue, cancel and time passing, against a plain model of a queue."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.errors import QueueFull
from core.messages import ReplyChunk
from core.queue.jobs import JobStatus, ReplyJob
from core.queue.memory import MemoryJobQueue

SIZE = 6
CONVERSATIONS = "abcd"
HOUR_S = 3600  # deadlines lie hours away, so that the loop's own timers never fire by themselves in a test
FINAL = st.sampled_from([JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])


class QueueMachine(RuleBasedStateMachine):
    """The model: lists of waiting and running jobs, what was published, and who was served while who waited."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.queue = MemoryJobQueue(SIZE, per_person=SIZE, clock=lambda: self.now)
        self.numbers = itertools.count()
        self.waiting: dict[str, list[ReplyJob]] = {name: [] for name in CONVERSATIONS}
        self.running: dict[str, ReplyJob] = {}
        self.expected: dict[str, str] = {}  # the text a reader must get, of every job that was not settled
        self.again: set[str] = set()  # requeued jobs, which will publish their text once more
        self.cancelled: set[str] = set()
        self.reports = self.queue.dropped()
        # served[waiter][other]: how often `other` was served since `waiter` began to wait for a turn
        self.served: dict[str, dict[str, int]] = {}

    def await_(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def teardown(self):
        self.await_(self.queue.close())
        self.await_(self.loop.shutdown_asyncgens())
        self.loop.close()

    @rule(conversation=st.sampled_from(CONVERSATIONS), hours=st.none() | st.integers(1, 20))
    def enqueue(self, conversation, hours):
        name = f"{conversation}{next(self.numbers)}"
        timeout_s = None if hours is None else hours * HOUR_S
        user_id = f"user of {conversation}"
        job = ReplyJob(name, conversation, messages=(), user_id=user_id, enqueued_at=self.now, timeout_s=timeout_s)
        try:
            self.await_(self.queue.enqueue(job))
        except QueueFull:
            assert self.depth() >= SIZE
            return
        assert self.depth() < SIZE
        self.waiting[conversation].append(job)
        self.expected[name] = ""
        self.update_waiters()

    @rule(limit=st.integers(1, 3))
    def fetch(self, limit):
        jobs = self.await_(self.fetch_now(limit))
        self.take_in_dropped()
        assert len(jobs) <= limit
        for job in jobs:
            assert job.conversation_id not in {running.conversation_id for running in self.running.values()}
            asked = self.waiting[job.conversation_id].pop(0)
            assert job.exchange_id == asked.exchange_id, "out of order, lost or handed out twice"
            assert not self.is_late(asked)
            if asked.timeout_s is not None:
                assert job.timeout_s == asked.enqueued_at + asked.timeout_s - self.now, "told a wrong time that is left"
            self.running[job.exchange_id] = asked
            self.count_service(job.conversation_id)
            if job.exchange_id in self.again:
                self.again.remove(job.exchange_id)
                self.await_(self.queue.publish(job.exchange_id, ReplyChunk(self.expected[job.exchange_id])))
        assert len(jobs) == limit or not self.eligible(), "a job that may run was not handed out"

    @precondition(lambda self: self.running)
    @rule(data=st.data(), text=st.text(max_size=4))
    def publish(self, data, text):
        name = self.pick_running(data)
        self.await_(self.queue.publish(name, ReplyChunk(text)))
        self.expected[name] += text

    @precondition(lambda self: self.running)
    @rule(data=st.data(), status=FINAL, is_read=st.booleans())
    def settle(self, data, status, is_read):
        name = self.pick_running(data)
        self.await_(self.queue.publish(name, ReplyChunk("!", "stop")))
        self.await_(self.queue.settle(name, status))
        del self.running[name]
        self.cancelled.discard(name)
        self.end(name, "!", is_read)
        self.update_waiters()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def requeue(self, data):
        name = self.pick_running(data)
        job = self.running.pop(name)
        self.waiting[job.conversation_id].insert(0, job)
        self.again.add(name)
        for others in self.served.values():  # it was handed out, but not served
            others[job.conversation_id] = others.get(job.conversation_id, 1) - 1
        self.await_(self.queue.requeue(name))
        self.take_in_dropped()

    @rule(data=st.data())
    def cancel(self, data):
        names = [*self.running, *(job.exchange_id for jobs in self.waiting.values() for job in jobs), "nobody"]
        name = data.draw(st.sampled_from(names))
        assert self.await_(self.queue.cancel(name)) is (name != "nobody")
        if name != "nobody":
            self.cancelled.add(name)
        self.take_in_dropped()

    @rule(hours=st.integers(1, 10), are_timers_late=st.booleans())
    def let_time_pass(self, hours, are_timers_late):
        self.now += hours * HOUR_S
        if not are_timers_late:
            for job in [job for jobs in self.waiting.values() for job in jobs if self.is_late(job)]:
                self.queue._wait_or_expire(self.queue._entries[job.exchange_id])  # what its timer calls
            self.take_in_dropped()

    @invariant()
    def positions_are_known_for_live_jobs_only(self):
        for jobs in self.waiting.values():
            positions = [self.queue._line.places()[job.exchange_id].ahead for job in jobs]
            assert positions == sorted(set(positions)), "a later job of a conversation stands before an earlier one"
        assert len(self.queue._entries) == len(self.running) + self.depth()
        assert self.await_(self.queue.depth()) == self.depth()
        assert len(self.queue._unread) <= SIZE

    def depth(self):
        return sum(map(len, self.waiting.values()))

    def eligible(self):
        busy = {job.conversation_id for job in self.running.values()}
        return {name for name, jobs in self.waiting.items() if jobs and name not in busy}

    def pick_running(self, data):
        return data.draw(st.sampled_from(sorted(self.running)))

    def count_service(self, conversation):
        self.served.pop(conversation, None)
        for waiter, others in self.served.items():
            others[conversation] = others.get(conversation, 0) + 1
            assert others[conversation] < 2, f"{conversation} was served twice while {waiter} waited"

    def update_waiters(self):
        eligible = self.eligible()
        self.served = {name: self.served.get(name, {}) for name in eligible}

    def is_late(self, job):
        return job.timeout_s is not None and job.enqueued_at + job.timeout_s <= self.now

    async def fetch_now(self, limit):
        """What fetch hands out without waiting."""
        fetching = asyncio.create_task(self.queue.fetch(limit))
        await until_idle()
        fetching.cancel()
        await asyncio.wait({fetching})
        return [] if fetching.cancelled() else fetching.result()

    def take_in_dropped(self):
        """The queue may drop what is late or was cancelled, and must say so."""
        for report in self.await_(self.read_reports()):
            conversation = self.waiting[report.exchange_id[0]]
            (job,) = (job for job in conversation if job.exchange_id == report.exchange_id)
            if report.exchange_id in self.cancelled:
                assert report.status is JobStatus.CANCELLED
            else:
                assert report.status is JobStatus.FAILED
                assert self.is_late(job)
            conversation.remove(job)
            self.cancelled.discard(report.exchange_id)
            self.again.discard(report.exchange_id)
            self.end(report.exchange_id, "")
        self.update_waiters()

    async def read_reports(self):
        reports = []
        while True:
            reading = asyncio.ensure_future(anext(self.reports))
            await until_idle()
            if not reading.done():
                reading.cancel()
                return reports
            reports.append(reading.result())

    def end(self, name, last_text, is_read=True):
        text = self.expected.pop(name) + last_text
        if is_read:
            chunks = self.await_(collect(self.queue.updates(name)))
            assert "".join(chunk.text for chunk in chunks) == text
            assert [chunk.finish_reason is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]


async def until_idle():
    for _ in range(3):
        await asyncio.sleep(0)


async def collect(updates):
    return [update async for update in updates if isinstance(update, ReplyChunk)]


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
