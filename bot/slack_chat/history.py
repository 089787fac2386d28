"""The conversation behind a message on Slack: its thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from bot.chat.conversation import MAX_TURNS, Transcript, Turn
from bot.chat.conversations import Conversations, Former
from bot.chat.memory import Memory
from bot.chat.platform import ScreenGone, ScreenRefused, ScreenUnreachable
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.heard import Heard
from bot.slack_chat.names import SOURCE, message_key, split_key
from bot.slack_chat.people import People
from bot.slack_chat.wording import mentions, own_words, words_of
from core.messages import Quoted
from core.store.db import Store
from core.store.models import Delivery, Exchange

PER_PAGE = 200
MAX_PAGES = 10  # a thread's older messages are read first, so a long one takes a while
TOMBSTONE = "tombstone"  # what stands for a deleted message that began a thread
THREAD_HIDDEN = "Slack does not let me read this thread, so I know nothing of what was said before."

logger = logging.getLogger(__name__)


class History(Conversations):
    """Reads conversations, in which words that are a command have no part.

    Raises ScreenUnreachable when Slack does not answer at the moment.
    """

    def __init__(
        self, connection: Connection, store: Store, memory: Memory, people: People, is_command: Callable[[str], bool]
    ) -> None:
        super().__init__(store, SOURCE, memory)
        self._connection = connection
        self._people = people
        self._is_command = is_command

    async def read(self, message: Heard) -> Transcript:
        """The conversation that this message ends."""
        transcript = Transcript(message.conversation_id, *await self._spoken(message), remarks=message.remarks)
        if message.thread_ts in (None, message.ts):
            return transcript
        try:
            former, is_cut = await self._earlier(message)
        except ScreenUnreachable:
            raise
        except (ScreenGone, ScreenRefused) as error:
            logger.info("The thread of %s cannot be read: %s", message.key, error)
            return replace(transcript, remarks=(*transcript.remarks, THREAD_HIDDEN))
        return await self.after(former, replace(transcript, is_cut=is_cut))

    async def _heard(self, key: str) -> Heard | None:
        """A message that somebody wrote; None when it is gone or may not be read."""
        found = await self.fetch(key)
        return None if found is None else Heard.of(found, channel=split_key(key)[0], team=self._connection.own.team)

    async def fetch(self, key: str) -> dict[str, Any] | None:
        """A message as Slack has it; None when it is gone or may not be read. Raises ScreenUnreachable."""
        try:
            return await self._find(key)
        except ScreenUnreachable:
            raise
        except (ScreenGone, ScreenRefused):
            return None

    async def is_gone(self, key: str) -> bool:
        """Whether Slack knows no such message any more; one that may not be read may well be there.

        Raises ScreenUnreachable.
        """
        try:
            found = await self._find(key)
        except ScreenUnreachable:
            raise
        except ScreenGone:
            return True
        except ScreenRefused:
            return False
        return found is None or found.get("subtype") == TOMBSTONE

    async def _find(self, key: str) -> dict[str, Any] | None:
        channel, ts = split_key(key)
        client = self._connection.client
        found = await attempt(
            lambda: client.conversations_replies(channel=channel, ts=ts, latest=ts, oldest=ts, inclusive=True, limit=1)
        )
        return next((dict(one) for one in found["messages"] if one["ts"] == ts), None)

    async def _shown_again(self, exchange: Exchange) -> Transcript | None:
        question = await self._heard(exchange.question_id or "")
        return None if question is None else await self.read(question)

    async def _content_of(self, key: str) -> str | None:
        found = await self.fetch(key)
        return None if found is None else found.get("text") or ""

    def _words_in(self, content: str, noted: Delivery | None) -> str | None:
        """Slack rewrites markup, so what was noted says only whether there is a header and whether there are notes."""
        has_header = noted is None or noted.head_chars != 0
        return own_words(content, has_header=has_header, has_notes=noted is None or noted.tail_chars != 0)

    async def _earlier(self, message: Heard) -> tuple[list[Former], bool]:
        """What stands before this message in its thread, the newest first, and whether there is more."""
        found: dict[str, dict[str, Any]] = {}  # the thread's first message comes with every page
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            answer = await attempt(partial(self._page, message, cursor))
            found |= {one["ts"]: dict(one) for one in answer["messages"] if float(one["ts"]) < float(message.ts)}
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                break
        newest = sorted(found, key=float, reverse=True)[:MAX_TURNS]
        return [await self._former(found[ts], message) for ts in newest], cursor is not None

    async def _former(self, found: dict[str, Any], question: Heard) -> Former:
        key = message_key(question.channel, found["ts"])
        if self._connection.is_own(found):
            return Former(key, content=found.get("text") or "")
        said, spoken = (
            Transcript(question.conversation_id),
            Heard.of(found, channel=question.channel, team=question.team),
        )
        if spoken is not None and not spoken.is_bot and not self._commands(spoken):
            said = Transcript(question.conversation_id, *await self._spoken(spoken))
        return Former(key, said=said)

    async def _page(self, message: Heard, cursor: str | None) -> Any:
        return await self._connection.client.conversations_replies(
            channel=message.channel, ts=message.root_ts, latest=message.ts, limit=PER_PAGE, cursor=cursor
        )

    def _commands(self, message: Heard) -> bool:
        return self._is_command(words_of(message.text, self._connection.own.user, {}))

    async def _spoken(self, message: Heard) -> tuple[tuple[Turn, ...], tuple[Quoted, ...]]:
        """A person's message as a turn; none where there are no words."""
        own = self._connection.own.user
        names = await self._people.names({message.user, *mentions(message.text)} - {own})
        text = words_of(message.text, own, {own: self._connection.own.name, **names})
        if not text:
            return (), ()
        return (Turn("user", names.get(message.user, ""), text, message.user_id),), (
            Quoted(message.key, message.user_id),
        )
