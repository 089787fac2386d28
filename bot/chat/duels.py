"""Blind duels: two versions of a persona answer one prompt at once; who votes learns only then which wrote what.

Knows no SDK; `ShownDuels` needs a platform's screen.

Each answer is an exchange that notes its true version. Which one is shown first is drawn by lot.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from bot.chat.buttons import ReplyButtons
from bot.chat.graphemes import shortened
from bot.chat.memory import Memory
from bot.chat.personas import choose, describe
from bot.chat.platform import Capabilities, IncomingMessage, ReplyScreen
from bot.chat.replies import Refuse, RunningReplies
from bot.chat.reply_pages import ReplyPages, without_calls
from bot.chat.responder import DuplicateEvent, PendingReply, Responder
from bot.chat.wording import sentence_of
from core import duel_statistics
from core.adapters.registry import Registry
from core.duel_statistics import PER_PERSON_PER_DAY, Standing
from core.errors import EngineFailed, InvalidInput, PersonasError
from core.messages import ReplyChunk
from core.personas import Persona
from core.store import duels, exchanges
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

logger = logging.getLogger(__name__)


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


class ShownDuels:
    """Duels on one platform, whose messages show both answers below each other."""

    def __init__(
        self,
        platform: Capabilities,
        store: Store,
        duels: Duels,
        replies: RunningReplies,
        memory: Memory,
        *,
        shows_thoughts: bool = False,
    ) -> None:
        """`shows_thoughts`: people see what a reasoning model thinks, too."""
        self._platform = platform
        self._store = store
        self._duels = duels
        self._replies = replies
        self._memory = memory
        self._shows_thoughts = shows_thoughts

    async def show(self, contest: Contest, question: IncomingMessage, screen: ReplyScreen, refuse: Refuse) -> None:
        """Answer an admitted question twice, and let people vote. `refuse` says why there is no duel.

        Raises ScreenGone and ScreenRefused where the answers cannot be shown.
        """
        with self._replies.busy():
            try:
                duel = await self._duels.fight(contest, question, watch=self._watch(question))
            except DuplicateEvent:
                return
            except PersonasError as error:
                await refuse(sentence_of(error))
                await self._placeholder_ended(question)
                return
            for letter, side in zip(LETTERS, (duel.first, duel.second), strict=True):
                await self._show_side(letter, side, question, screen)
            screen.buttons = ReplyButtons(duel.id, is_duel=True)
            await self._replies.budget(screen.channel_key).take(is_final=True)
            await screen.post(without_calls(self._duels.which(contest, question)))

    def _watch(self, question: IncomingMessage) -> Watch:
        def watch(replies: tuple[PendingReply, ...]) -> AbstractContextManager[None]:
            return self._replies.writing(question, *replies)

        return watch

    async def _show_side(self, letter: str, side: Side, question: IncomingMessage, screen: ReplyScreen) -> None:
        """Post one answer and note its messages, so that reactions, and deletions, find it."""
        if question.transcript is not None:
            self._memory.remember(side.exchange_id, question.transcript, side.text)
        pages = ReplyPages(self._platform.max_chars, f"**{letter}**", self._platform.small_print)
        keys, marks = [], {}
        for page in pages.pages_of(side.text, side.end, None, side.thoughts if self._shows_thoughts else ""):
            await self._replies.budget(screen.channel_key).take(is_final=True)
            keys.append(await screen.post(page.text))
            marks[keys[-1]] = (page.head, page.tail)
        try:
            await self._placeholder_ended(question)
            async with self._store.write() as session:
                for position, key in enumerate(keys):
                    await exchanges.add_delivery(session, side.exchange_id, key, position=position)
                await exchanges.finish_deliveries(session, side.exchange_id, marks=marks)
        except PersonasError as error:
            logger.warning("What shows %s is not noted: %s", side.exchange_id, error)

    async def _placeholder_ended(self, question: IncomingMessage) -> None:
        """Something else stands in its place."""
        if question.placeholder is not None:
            async with self._store.write() as session:
                await exchanges.remove_delivery(session, question.source, question.placeholder.message_id)


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
