"""What was said before a question, with the bot's own words as they are known. Knows no SDK.

What a platform shows is read; what the bot itself said is remembered, kept by the ledger, or read from its messages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.chat.conversation import MAX_TURNS, Transcript, Turn
from bot.chat.memory import Memory
from core.errors import NotFound
from core.messages import Quoted
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import Store
from core.store.models import Delivery, Exchange

ANSWERED = (JobStatus.SUCCEEDED, JobStatus.CANCELLED)
QUESTION_GONE = "The question behind this answer is gone or cannot be read any more; ask it again."


@dataclass(frozen=True, slots=True)
class Former:
    """A message that stands before a question: what somebody else said, or all that one of our own says."""

    key: str
    said: Transcript | None = None
    content: str = ""


class Conversations(ABC):
    """Reads what was said on one platform, `source`. Everything here raises ScreenUnreachable and StoreUnavailable."""

    def __init__(self, store: Store, source: str, memory: Memory) -> None:
        self._store = store
        self._source = source
        self._memory = memory

    async def read_again(self, exchange: Exchange) -> Transcript:
        """The conversation that this exchange answered. Raises NotFound when its question is gone."""
        if kept := self._memory.find(exchange.id):
            return kept.transcript
        found = await (self._kept(exchange) if exchange.question_id is None else self._shown_again(exchange))
        if found is None:
            raise NotFound(QUESTION_GONE)
        return found

    async def reply_of(self, exchange: Exchange) -> str | None:
        """What a reply said; None where it is gone."""
        text = self._memory.reply_of(exchange)
        return await self._shown_words(await self._pages_of(exchange), {}) if text is None else text

    async def words_on(self, key: str, content: str) -> str:
        """What one of our messages says: the reply's own words where it shows one."""
        await self._store.flush()
        async with self._store.read() as session:
            noted = await exchanges.find_delivery(session, self._source, key)
        return self._words_in(content, noted) or ""

    async def after(self, former: Sequence[Former], question: Transcript) -> Transcript:
        """A question after what was said before it, of which the newest comes first."""
        kept = former[: MAX_TURNS - 1]
        at_hand = {one.key: one.content for one in kept if one.said is None}
        async with self._store.read() as session:
            answers = await exchanges.find_by_deliveries(session, self._source, list(at_hand))
        pages = await self._pages_of(*{answer.id: answer for answer in answers.values()}.values())
        transcript = question
        told: set[str] = set()
        for one in kept:
            answer = answers.get(one.key)
            if one.said is not None:
                transcript = transcript.after(*one.said.turns, quotes=one.said.quotes)
            elif answer is not None and answer.id not in told:
                told.add(answer.id)
                own = [page for page in pages if page.exchange_id == answer.id]
                transcript = transcript.after(*await self._answer(answer, own, at_hand), quotes=(Quoted(one.key, ""),))
        return replace(transcript, is_cut=question.is_cut or len(former) > len(kept))

    async def answer_on(self, answer: Exchange, page: Former) -> tuple[Turn, ...]:
        """An answer of ours as one turn, whichever page of it is at hand; none where its words are gone."""
        return await self._answer(answer, await self._pages_of(answer), {page.key: page.content})

    async def _answer(
        self, answer: Exchange, pages: Sequence[Delivery], at_hand: Mapping[str, str]
    ) -> tuple[Turn, ...]:
        if answer.status not in ANSWERED:
            return ()
        text = self._memory.reply_of(answer)
        if text is None:
            text = await self._shown_words(pages, at_hand)
        return (Turn("assistant", "", text),) if text and text.strip() else ()

    async def _kept(self, exchange: Exchange) -> Transcript | None:
        """What was typed into a command, which no message shows."""
        async with self._store.read() as session:
            quotes = await exchanges.quotes_of(session, exchange.id)  # first, as they go when the text goes
            asked = await exchanges.find(session, exchange.id)
        if asked is None or not asked.prompt:
            return None
        turns = tuple(Turn(turn["role"], "", turn["content"]) for turn in asked.prompt)
        return Transcript(asked.conversation_id, turns, quotes)

    async def _pages_of(self, *answers: Exchange) -> list[Delivery]:
        """The messages that show those answers whose words stand nowhere else."""
        unknown = [one.id for one in answers if self._memory.reply_of(one) is None]
        if not unknown:
            return []
        await self._store.flush()  # the marks of what ended a moment ago
        async with self._store.read() as session:
            return await exchanges.deliveries_of(session, *unknown)

    async def _shown_words(self, pages: Sequence[Delivery], at_hand: Mapping[str, str]) -> str | None:
        """What the messages of a reply say, as far as they can be read; None where there are none."""
        words: list[str] = []
        for noted in pages:
            content = at_hand.get(noted.message_id)
            if content is None:
                content = await self._content_of(noted.message_id)
            if content is not None and (text := self._words_in(content, noted)) is not None:
                words.append(text)
        return "\n".join(filter(None, words)) if words else None

    @abstractmethod
    async def _shown_again(self, exchange: Exchange) -> Transcript | None:
        """The conversation that this exchange's question ends, as the platform shows it now; None when it is gone."""

    @abstractmethod
    async def _content_of(self, key: str) -> str | None:
        """All that one of our messages says; None when it is gone or may not be read."""

    @abstractmethod
    def _words_in(self, content: str, noted: Delivery | None) -> str | None:
        """The reply's own words in a message, by what was noted of it; None where they are not known."""
