"""The conversation behind a message on Slack: its thread.

What Slack shows is read; what the bot itself said is remembered, kept by the ledger, or read from its messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bot.chat.conversation import MAX_TURNS, Transcript, Turn
from bot.chat.memory import Memory
from bot.chat.platform import ScreenGone, ScreenRefused, ScreenUnreachable
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.heard import Heard
from bot.slack_chat.names import SOURCE, split_key
from bot.slack_chat.people import People
from bot.slack_chat.wording import mentions, own_words, words_of
from core.errors import NotFound
from core.messages import Quoted
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

PER_PAGE = 200
MAX_PAGES = 10  # a thread's older messages are read first, so a long one takes a while
THREAD_HIDDEN = "Slack does not let me read this thread, so I know nothing of what was said before."
QUESTION_GONE = "The question of this answer is gone, so there is nothing to answer again."
ANSWERED = (JobStatus.SUCCEEDED, JobStatus.CANCELLED)

logger = logging.getLogger(__name__)


class History:
    """Reads conversations, in which words that are a command have no part.

    Raises ScreenUnreachable when Slack does not answer at the moment.
    """

    def __init__(
        self, connection: Connection, store: Store, memory: Memory, people: People, is_command: Callable[[str], bool]
    ) -> None:
        self._connection = connection
        self._store = store
        self._memory = memory
        self._people = people
        self._is_command = is_command

    async def read(self, message: Heard) -> Transcript:
        """The conversation that this message ends."""
        transcript = Transcript(message.conversation_id, *await self._spoken(message), remarks=message.remarks)
        if message.thread_ts in (None, message.ts):
            return transcript
        try:
            earlier, is_cut = await self._earlier(message)
        except ScreenUnreachable:
            raise
        except (ScreenGone, ScreenRefused) as error:
            logger.info("The thread of %s cannot be read: %s", message.key, error)
            return replace(transcript, remarks=(*transcript.remarks, THREAD_HIDDEN))
        return await self._after(earlier, replace(transcript, is_cut=is_cut), message)

    async def read_again(self, exchange: Exchange) -> Transcript:
        """The conversation that this exchange answered. Raises NotFound when its question is gone."""
        if kept := self._memory.find(exchange.id):
            return kept.transcript
        question = None if exchange.question_id is None else await self.heard(exchange.question_id)
        if question is None:
            raise NotFound(QUESTION_GONE)
        return await self.read(question)

    async def reply_of(self, exchange: Exchange) -> str | None:
        """What a reply said: remembered, kept, or read from the messages that show it; None where it is gone."""
        text = self._memory.reply_of(exchange)
        if text is not None:
            return text
        async with self._store.read() as session:
            keys = [page.message_id for page in await exchanges.deliveries_of(session, exchange.id)]
        pages = [await self.fetch(key) for key in keys]
        words = [own_words(page.get("text") or "") for page in pages if page is not None]
        return "\n".join(words) if words else None

    async def heard(self, key: str) -> Heard | None:
        """A message that somebody wrote; None when it is gone or may not be read."""
        found = await self.fetch(key)
        return None if found is None else Heard.of(found, channel=split_key(key)[0], team=self._connection.own.team)

    async def fetch(self, key: str) -> dict[str, Any] | None:
        """A message as Slack has it; None when it is gone or may not be read. Raises ScreenUnreachable."""
        channel, ts = split_key(key)
        client = self._connection.client
        try:
            found = await attempt(
                lambda: client.conversations_replies(
                    channel=channel, ts=ts, latest=ts, oldest=ts, inclusive=True, limit=1
                )
            )
        except ScreenUnreachable:
            raise
        except (ScreenGone, ScreenRefused):
            return None
        return next((dict(one) for one in found["messages"] if one["ts"] == ts), None)

    async def _earlier(self, message: Heard) -> tuple[list[dict[str, Any]], bool]:
        """What stands before this message in its thread, the oldest first, and whether there is more."""
        found: dict[str, dict[str, Any]] = {}  # the thread's first message comes with every page
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            answer = await attempt(partial(self._page, message, cursor))
            found |= {one["ts"]: dict(one) for one in answer["messages"] if float(one["ts"]) < float(message.ts)}
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                break
        newest = [found[ts] for ts in sorted(found, key=float)[-MAX_TURNS:]]
        return newest, cursor is not None or len(found) > MAX_TURNS

    async def _page(self, message: Heard, cursor: str | None) -> Any:
        return await self._connection.client.conversations_replies(
            channel=message.channel, ts=message.root_ts, latest=message.ts, limit=PER_PAGE, cursor=cursor
        )

    async def _after(self, earlier: Sequence[dict[str, Any]], transcript: Transcript, message: Heard) -> Transcript:
        """The question after everything that was said before it."""
        own_keys = [f"{message.channel}/{one['ts']}" for one in earlier if self._connection.is_own(one)]
        async with self._store.read() as session:
            answers = await exchanges.find_by_deliveries(session, SOURCE, own_keys)
        told: set[str] = set()
        for one in reversed(earlier):
            key = f"{message.channel}/{one['ts']}"
            if not self._connection.is_own(one):
                spoken = Heard.of(one, channel=message.channel, team=message.team)
                if spoken is not None and not spoken.is_bot and not self._commands(spoken):
                    turns, quotes = await self._spoken(spoken)
                    transcript = transcript.after(*turns, quotes=quotes)
            elif (exchange := answers.get(key)) is not None and exchange.id not in told:
                text = self._memory.reply_of(exchange)
                if text is not None:
                    told.add(exchange.id)
                elif exchange.status in ANSWERED:
                    text = own_words(one.get("text") or "")
                if text:
                    transcript = transcript.after(Turn("assistant", "", text), quotes=(Quoted(key, ""),))
        return transcript

    def _commands(self, message: Heard) -> bool:
        return self._is_command(words_of(message.text, self._connection.own.user, {}))

    async def _spoken(self, message: Heard) -> tuple[tuple[Turn, ...], tuple[Quoted, ...]]:
        """A person's message as a turn; none where there are no words."""
        own = self._connection.own.user
        names = await self._people.names({message.user, *mentions(message.text)} - {own})
        text = words_of(message.text, own, {own: self._connection.own.name, **names})
        if not text:
            return (), ()
        return (Turn("user", names.get(message.user, ""), text),), (Quoted(message.key, message.user_id),)
