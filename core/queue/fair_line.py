"""Which job runs next: people take turns, then their conversations, each in order. Pure; knows no time."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from core.queue.jobs import ReplyJob


@dataclass(slots=True)
class _Person:
    """`turn` is the place in the line; it is kept while jobs wait or run, `jobs` of them, `waiting` of which wait."""

    turn: int
    jobs: int = 0
    waiting: int = 0


@dataclass(slots=True)
class _Conversation:
    """`turn` is its place among the conversations of a person, which it keeps while its job runs.

    `turn_before` is the place that its person had before the running job was taken: a job put back loses nothing.
    """

    turn: int
    waiting: OrderedDict[str, ReplyJob] = field(default_factory=OrderedDict)
    running: str | None = None
    turn_before: int = 0

    @property
    def is_ready(self) -> bool:
        return self.running is None and bool(self.waiting)

    @property
    def first(self) -> ReplyJob:
        return next(iter(self.waiting.values()))


@dataclass(frozen=True, slots=True)
class Place:
    """Jobs that go before a waiting one: in all, and those of its own conversation (the running one included)."""

    ahead: int
    ahead_in_conversation: int


class FairLine:
    """Jobs that wait and jobs that run.

    A person joins the back of the line with the first job, and goes to the back whenever one is taken and whenever one
    ends: while somebody waits whose job may run, nobody else is served twice, however many conversations they have. A
    conversation runs one job at a time. Among those of one person it goes to the back whenever its running job ends.
    """

    def __init__(self) -> None:
        self._people: dict[str, _Person] = {}
        self._conversations: dict[str, _Conversation] = {}
        self._ready: dict[str, _Conversation] = {}  # those that may run now
        self._turns = itertools.count()
        self._waiting = 0

    def __len__(self) -> int:
        """Jobs that wait."""
        return self._waiting

    @property
    def can_take(self) -> bool:
        return bool(self._ready)

    def waiting_of(self, user_id: str) -> int:
        """Jobs of one person that wait."""
        person = self._people.get(user_id)
        return 0 if person is None else person.waiting

    def add(self, job: ReplyJob) -> None:
        conversation = self._conversations.get(job.conversation_id)
        if conversation is None:
            conversation = self._conversations[job.conversation_id] = _Conversation(next(self._turns))
        person = self._people.get(job.user_id)
        if person is None:
            person = self._people[job.user_id] = _Person(next(self._turns))
        person.jobs += 1
        conversation.waiting[job.exchange_id] = job
        self._note_waiting(job, 1)

    def take(self) -> ReplyJob:
        """The next job, which runs from now on. Only when `can_take`."""
        conversation = min(self._ready.values(), key=lambda ready: (self._people[ready.first.user_id].turn, ready.turn))
        job = conversation.first
        person = self._people[job.user_id]
        del conversation.waiting[job.exchange_id]
        conversation.running, conversation.turn_before = job.exchange_id, person.turn
        person.turn = next(self._turns)
        self._note_waiting(job, -1)
        return job

    def finish(self, job: ReplyJob) -> None:
        """End a running job; the person goes to the back of the line, the conversation behind the person's others."""
        conversation, person = self._conversations[job.conversation_id], self._people[job.user_id]
        conversation.running = None
        conversation.turn, person.turn = next(self._turns), next(self._turns)
        self._leave(job)

    def put_back(self, job: ReplyJob) -> None:
        """Make a running job wait again, first in its conversation and at the old places of both."""
        conversation, person = self._conversations[job.conversation_id], self._people[job.user_id]
        conversation.running = None
        person.turn = min(person.turn, conversation.turn_before)
        conversation.waiting[job.exchange_id] = job
        conversation.waiting.move_to_end(job.exchange_id, last=False)
        self._note_waiting(job, 1)

    def remove(self, job: ReplyJob) -> None:
        """Take a waiting job out of the line."""
        del self._conversations[job.conversation_id].waiting[job.exchange_id]
        self._note_waiting(job, -1)
        self._leave(job)

    def places(self) -> dict[str, Place]:
        """Where every waiting job stands, by its exchange's id, if everybody goes on taking turns.

        A round gives each person one turn, last to those whose conversation still runs a job. Where people share a
        conversation, and among those conversations of one person that run, the order is not known: this is a guess.
        """
        waiting: list[tuple[int, bool, int, str, ReplyJob]] = []
        for name, conversation in self._conversations.items():
            is_running = conversation.running is not None
            turn = 0 if is_running else conversation.turn
            for number, job in enumerate(conversation.waiting.values()):
                waiting.append((number, is_running, turn, name, job))
        waiting.sort(key=lambda entry: entry[:4])
        next_round: Counter[tuple[str, str]] = Counter()
        turns: dict[str, tuple[int, bool, int]] = {}
        for _, is_running, _, name, job in waiting:
            person, conversation_key = ("person", job.user_id), ("conversation", name)
            turn = max(next_round[person], next_round[conversation_key])
            next_round[person] = next_round[conversation_key] = turn + 1
            turns[job.exchange_id] = (turn, is_running, self._people[job.user_id].turn)
        in_order = sorted(turns.values())
        return {
            job.exchange_id: Place(bisect_left(in_order, turns[job.exchange_id]), number + is_running)
            for number, is_running, _, _, job in waiting
        }

    def _note_waiting(self, job: ReplyJob, change: int) -> None:
        self._waiting += change
        self._people[job.user_id].waiting += change
        self._sort_in(job.conversation_id)

    def _leave(self, job: ReplyJob) -> None:
        """Forget whoever has no job any more."""
        person, conversation = self._people[job.user_id], self._conversations[job.conversation_id]
        person.jobs -= 1
        if not person.jobs:
            del self._people[job.user_id]
        if conversation.running is None and not conversation.waiting:
            del self._conversations[job.conversation_id]
        self._sort_in(job.conversation_id)

    def _sort_in(self, conversation_id: str) -> None:
        conversation = self._conversations.get(conversation_id)
        if conversation is not None and conversation.is_ready:
            self._ready[conversation_id] = conversation
        else:
            self._ready.pop(conversation_id, None)
