"""Blind duels: two versions of a persona answer one prompt at once; who votes learns only then which wrote what.

Knows no SDK and no screen.

Each answer is an exchange that notes its true version. Which one is shown first is drawn by lot.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from bot.chat.graphemes import shortened
from bot.chat.personas import choose, describe
from bot.chat.platform import IncomingMessage
from bot.chat.responder import PendingReply, Responder
from core import duel_statistics
from core.adapters.registry import Registry
from core.duel_statistics import PER_PERSON_PER_DAY, Standing
from core.errors import EngineFailed, InvalidInput
from core.messages import ReplyChunk
from core.personas import Persona
from core.store import duels
from core.store.db import Store
from core.store.duels import Choice, Contest

LETTERS = ("A", "B")
TURNS = 2  # what a duel costs of the messages that somebody may send
MAX_SHOWN_CHARS = 200
ALONE = "Only two versions of one persona can duel; a blend and the base model have none."
SAME = "A version cannot duel itself; name two, as `personas versions {}` lists them."
REFUSED = "{} failed its gate, so nobody is shown it here; `personas duel` in the terminal still compares it."
STOPPED = "The duel was stopped before both answers were written; begin a new one."
WHICH = "⚔️ Which answer to “{}” is better? Two versions of {} wrote them, and after your vote you learn which is which."
REVEALED = "Noted, thank you: A was {}, B was {}. {}"

Chunks = Callable[[PendingReply], AsyncGenerator[ReplyChunk]]
Watch = Callable[[tuple[PendingReply, ...]], AbstractContextManager[Any]]
"""Is entered while both are written."""


@dataclass(frozen=True, slots=True)
class Side:
    """One answer of a duel, whole. `end` is its last chunk; `thoughts` are what the model thought meanwhile."""

    exchange_id: str
    text: str
    end: ReplyChunk
    thoughts: str = ""


@dataclass(frozen=True, slots=True)
class Duel:
    """Two finished answers, as they are shown."""

    first: Side
    second: Side

    @property
    def id(self) -> str:
        """What votes name it by."""
        return self.first.exchange_id


class Duels:
    """What every way in shares: two answers, a vote, and where two versions stand.

    Raises PersonasError with a sentence for the person who asked or voted.
    """

    def __init__(
        self,
        source: str,
        store: Store,
        registry: Registry,
        personas: Mapping[str, Persona],
        base_slug: str,
        responder: Callable[[], Responder],
    ) -> None:
        self._source = source
        self._store = store
        self._registry = registry
        self._personas = personas
        self._base_slug = base_slug
        self._responder = responder

    async def contest(self, persona: str, one: int, other: int, *, is_public: bool = True) -> Contest:
        """Two versions of a persona, which is named by slug or name. `is_public`: what failed its gate stays hidden.

        Raises InvalidInput, and NotFound for a persona or version that there is not.
        """
        blend = choose(self._personas, persona)
        if len(blend.parts) != 1 or blend.parts[0].weight != 1:
            raise InvalidInput(ALONE)
        slug = blend.parts[0].slug
        if one == other:
            raise InvalidInput(SAME.format(slug))
        async with self._store.read() as session:
            for version in (one, other):
                found = await self._registry.get(session, slug, self._base_slug, version)
                if is_public and found.gate_passed is False and "champion" not in found.aliases:
                    raise InvalidInput(REFUSED.format(found.ref.name))
        return Contest(slug, self._base_slug, one, other)

    async def fight(
        self,
        contest: Contest,
        question: IncomingMessage,
        *,
        chunks: Chunks = PendingReply.chunks,
        watch: Watch = nullcontext,
    ) -> Duel:
        """Let both answer `question`, in one batch where the engine has two slots free. `chunks` reads a reply.

        Raises what `Responder.open` raises, EngineFailed for an answer that failed, and InvalidInput for one that was
        stopped. Then the other one is stopped, too, and there is no duel.
        """
        versions = [contest.one, contest.other]
        random.shuffle(versions)
        replies: list[PendingReply] = []
        try:
            for number, version in enumerate(versions, start=1):
                replies.append(await self._responder().open(_asked_of(question, contest.persona, version, number)))
            with watch(tuple(replies)):
                first, second = await asyncio.gather(*(_read(chunks(one), one, replies) for one in replies))
        except BaseException:
            for reply in replies:
                await reply.cancel()
            raise
        for end in (first.end, second.end):
            if end.finish_reason == "error":
                raise EngineFailed(end.error or STOPPED)
        if "cancelled" in (first.end.finish_reason, second.end.finish_reason):
            raise InvalidInput(STOPPED)
        async with self._store.write() as session:
            await duels.add(session, first.exchange_id, second.exchange_id)
        return Duel(first, second)

    def which(self, contest: Contest, question: IncomingMessage) -> str:
        """What people are asked under the two answers."""
        words = " ".join(question.messages[-1].content.split())
        asked = words if len(words) <= MAX_SHOWN_CHARS else f"{shortened(words, MAX_SHOWN_CHARS)}…"
        return WHICH.format(asked, describe(self._personas, contest.persona))

    async def vote(self, duel_id: str, user_id: str, choice: Choice) -> str:
        """Note a vote in place of the person's former one. Says which side was which version, and where they stand."""
        async with self._store.write() as session:
            await duels.vote(session, first_id=duel_id, user_id=user_id, choice=choice, source=self._source)
            first, second = await duels.sides(session, duel_id)
        names = [str(side.adapters[0]["name"]) for side in (first, second)]
        one, other = sorted(duels.version_of(side.adapters) for side in (first, second))
        contest = Contest(first.model, first.base_model, one, other)
        return REVEALED.format(*names, standing_text(contest, await self.standing(contest)))

    async def take_back(self, duel_id: str, user_id: str) -> None:
        async with self._store.write() as session:
            await duels.withdraw(session, first_id=duel_id, user_id=user_id)

    async def standing(self, contest: Contest) -> Standing:
        """What all votes on duels of the two say."""
        async with self._store.read() as session:
            votes = await duels.votes_on(session, contest)
        return await asyncio.to_thread(duel_statistics.standing, votes)  # the bootstrap takes a moment


def standing_text(contest: Contest, found: Standing) -> str:
    """ "@4 wins 58 % of 37 votes by 12 people (95 %: 44 to 71 %); …", for people to read."""
    if found.win_rate is None:
        return "Nobody has voted on these two yet."
    is_other = found.win_rate >= 0.5
    rate = found.win_rate if is_other else 1 - found.win_rate
    low, high = found.interval or (0.0, 1.0)
    interval = (low, high) if is_other else (1 - high, 1 - low)
    bounds = "" if found.interval is None else f" (95 %: {interval[0]:.0%} to {interval[1]:.0%})".replace("%", " %")
    leader = contest.other if is_other else contest.one
    votes, people = _counted(found.votes, "vote", "votes"), _counted(found.people, "person", "people")
    text = f"@{leader} wins {rate * 100:.0f} % of {votes} by {people}{bounds}; {_outlook(found, leader)}."
    if found.not_counted:
        more = _counted(found.not_counted, "vote", "votes")
        text += f" Not counted: {more} after somebody's first {PER_PERSON_PER_DAY} of a day."
    return text


def _outlook(found: Standing, leader: int) -> str:
    if found.winner:
        return f"it is settled: @{leader} is better"
    if found.votes_needed is None:
        return "no end is in sight: so far they are about as good"
    votes = _counted(found.votes_needed, "more vote", "more votes")
    return f"about {votes}, by {_counted(found.people_needed or 0, 'more person', 'more people')}, until it is settled"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _asked_of(question: IncomingMessage, persona: str, version: int, number: int) -> IncomingMessage:
    """The question for one side. Two conversations, for one would have its answers written one after the other."""
    return replace(
        question,
        model=persona,
        version=version,
        event_id=f"{question.event_id}:{number}",
        conversation_id=f"{question.conversation_id}:{number}",
        placeholder=question.placeholder if number == 1 else None,
    )


async def _read(chunks: AsyncGenerator[ReplyChunk], reply: PendingReply, both: list[PendingReply]) -> Side:
    """One answer to its end; where it fails or is stopped, the other one is stopped, too."""
    text = thoughts = ""
    end = ReplyChunk(finish_reason="cancelled")
    async with aclosing(chunks) as read:
        async for chunk in read:
            text += chunk.text
            thoughts += chunk.thoughts
            if chunk.finish_reason is not None:
                end = chunk
    if end.finish_reason not in ("stop", "length"):
        for one in both:
            await one.cancel()
    return Side(reply.exchange_id, text, end, thoughts)
