"""Which job runs next: conversations take turns, each runs one job at a time and in order. Pure; knows no time."""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass, field

from core.queue.jobs import ReplyJob


@dataclass(slots=True)
class _Conversation:
    """`turn` is its place in the line, which it keeps while its job runs, so that a job put back loses nothing."""

    turn: int
    waiting: OrderedDict[str, ReplyJob] = field(default_factory=OrderedDict)
    running: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Jobs that go before a waiting one: in all, and those of its own conversation (the running one included)."""

    ahead: int
    ahead_in_conversation: int


class FairLine:
    """Jobs that wait and jobs that run, by conversation.

    A conversation joins the back of the line with its first job, and again whenever its running job ends and more
    wait: while one conversation waits in the line, no other is served twice.
    """

    def __init__(self) -> None:
        self._conversations: dict[str, _Conversation] = {}
        self._line: list[tuple[int, str]] = []  # (turn, conversation) of those that may run now, in order
        self._turns = itertools.count()
        self._waiting = 0

    def __len__(self) -> int:
        """Jobs that wait."""
        return self._waiting

    @property
    def can_take(self) -> bool:
        return bool(self._line)

    def add(self, job: ReplyJob) -> None:
        conversation = self._conversations.get(job.conversation_id)
        if conversation is None:
            conversation = self._conversations[job.conversation_id] = _Conversation(next(self._turns))
            insort(self._line, (conversation.turn, job.conversation_id))
        conversation.waiting[job.exchange_id] = job
        self._waiting += 1

    def take(self) -> ReplyJob:
        """The next job, which runs from now on. Only when `can_take`."""
        _, conversation_id = self._line.pop(0)
        conversation = self._conversations[conversation_id]
        conversation.running, job = conversation.waiting.popitem(last=False)
        self._waiting -= 1
        return job

    def finish(self, job: ReplyJob) -> None:
        """End a running job; the conversation's next one waits at the back of the line."""
        conversation = self._conversations[job.conversation_id]
        conversation.running = None
        conversation.turn = next(self._turns)
        self._rejoin(job.conversation_id)

    def put_back(self, job: ReplyJob) -> None:
        """Make a running job wait again, first in its conversation and at the conversation's old place."""
        conversation = self._conversations[job.conversation_id]
        conversation.running = None
        conversation.waiting[job.exchange_id] = job
        conversation.waiting.move_to_end(job.exchange_id, last=False)
        self._waiting += 1
        self._rejoin(job.conversation_id)

    def remove(self, job: ReplyJob) -> None:
        """Take a waiting job out of the line."""
        conversation = self._conversations[job.conversation_id]
        del conversation.waiting[job.exchange_id]
        self._waiting -= 1
        if conversation.running is None and not conversation.waiting:
            self._line.remove((conversation.turn, job.conversation_id))
            del self._conversations[job.conversation_id]

    def places(self) -> dict[str, Place]:
        """Where every waiting job stands, by its exchange's id, if everybody goes on taking turns.

        A round gives each conversation one turn: first those in the line, then those that run, in no known order.
        """
        turns: dict[str, tuple[int, bool, int]] = {}
        for conversation in self._conversations.values():
            is_running = conversation.running is not None
            for number, exchange_id in enumerate(conversation.waiting):
                turns[exchange_id] = (number, is_running, 0 if is_running else conversation.turn)
        in_order = sorted(turns.values())
        return {name: Place(bisect_left(in_order, turn), turn[0] + turn[1]) for name, turn in turns.items()}

    def _rejoin(self, conversation_id: str) -> None:
        conversation = self._conversations[conversation_id]
        if conversation.waiting:
            insort(self._line, (conversation.turn, conversation_id))
        else:
            del self._conversations[conversation_id]
