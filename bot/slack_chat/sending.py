"""Messages sent to Slack: what they hold, under whose name, and whether one that got no answer has arrived.

Nothing that goes out here pings anyone or unfolds a link.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.chat.reply_pages import without_calls
from bot.slack_chat.calls import OUTAGES, Refused, attempt, code_of
from bot.slack_chat.connection import Connection
from bot.slack_chat.names import message_key
from bot.slack_chat.wording import escaped, text_in

UPDATE_CHARS = 4000  # of the text of chat.update
FACE_SCOPE = "chat:write.customize"
MAX_REMEMBERED = 4096
LOOKED_BACK_S = 300.0  # how old a message may be that arrived without an answer
NO_UNFOLDING = {"unfurl_links": False, "unfurl_media": False}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """Who a reply seems to come from. `title` says so where Slack shows the bot's own name."""

    name: str
    title: str
    icon: str | None = None
    loading_lines: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        return {"username": self.name} | ({} if self.icon is None else {"icon_emoji": self.icon})


def message_fields(text: str, blocks: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Markdown with blocks below it, as chat.postMessage and chat.update take it."""
    harmless = without_calls(text)
    return {
        "text": escaped(harmless)[:UPDATE_CHARS],
        "blocks": [{"type": "markdown", "text": harmless}, *blocks],
        "parse": "none",
        "link_names": False,
    }


class Sender:
    """Sends new messages into one thread. Everything raises ScreenGone and ScreenRefused."""

    def __init__(self, connection: Connection, channel: str, thread_ts: str | None, look: Look) -> None:
        self._connection = connection
        self._channel = channel
        self._thread_ts = thread_ts
        self._look = look

    async def post(self, text: str, blocks: Sequence[dict[str, Any]] = ()) -> str:
        """A plain message; its key."""
        client, fields = self._connection.client, {**message_fields(text, blocks), **NO_UNFOLDING}
        return await self._send(
            text,
            lambda face: client.chat_postMessage(channel=self._channel, thread_ts=self._thread_ts, **fields, **face),
        )

    async def start_stream(self, text: str, recipient: str) -> str:
        """The beginning of a message that grows, which answers this person; its key."""
        client, own = self._connection.client, self._connection.own
        return await self._send(
            text,
            lambda face: client.chat_startStream(
                channel=self._channel,
                thread_ts=str(self._thread_ts),
                markdown_text=text,
                recipient_team_id=own.team,
                recipient_user_id=recipient,
                **face,
            ),
        )

    async def _send(self, text: str, call: Callable[[dict[str, Any]], Awaitable[Any]]) -> str:
        """With the persona's name and icon; without them where Slack does not allow that."""
        find_sent = partial(self._find_sent, text)
        if self._connection.can_wear_faces:
            try:
                return self._known(await attempt(lambda: call(self._look.fields), find_done=find_sent))
            except Refused as error:
                if error.needed != FACE_SCOPE:
                    raise
                logger.warning(
                    "Slack does not let the bot wear the personas' faces: the scope %s is missing", FACE_SCOPE
                )
                self._connection.can_wear_faces = False
        return self._known(await attempt(lambda: call({}), find_done=find_sent))

    def _known(self, sent: Mapping[str, Any]) -> str:
        key = message_key(self._channel, sent["ts"])
        self._connection.sent[key] = None
        if len(self._connection.sent) > MAX_REMEMBERED:
            self._connection.sent.popitem(last=False)
        return key

    async def _find_sent(self, text: str) -> Mapping[str, Any] | None:
        """The message that says this although Slack never answered; sent once more, it would stand there twice."""
        if self._thread_ts is None:
            return None
        client, since = self._connection.client, f"{time.time() - LOOKED_BACK_S:.6f}"
        try:
            found = await client.conversations_replies(channel=self._channel, ts=self._thread_ts, oldest=since)
        except OUTAGES as error:
            logger.info("Whether a message has arrived cannot be looked up: %s", code_of(error))
            return None
        for one in reversed(found["messages"]):
            is_new = message_key(self._channel, one["ts"]) not in self._connection.sent
            if is_new and self._connection.is_own(one) and _letters(text_in(one)) == _letters(text):
                return {"ts": one["ts"]}
        return None


def _letters(text: str) -> str:
    """What stays the same of a text whatever Slack makes of its markup."""
    return re.sub(r"\W", "", text)
