"""Where a reply is shown on Slack: a thread's messages, streamed as Slack's own apps do. Knows no store.

A reply is streamed from its first word on; until then a status says where it stands. Where Slack ends a stream, which
it does after some five minutes, or refuses one, plain messages take over. Nothing that goes out here pings anyone or
unfolds a link.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.chat.buttons import ReplyButtons
from bot.chat.faces import header
from bot.chat.message_split import MIN_LIMIT, split_message
from bot.chat.platform import Placeholder
from bot.chat.reply_pages import FIRST_SIGN, without_calls
from bot.slack_chat.buttons import blocks_of
from bot.slack_chat.calls import OUTAGES, Refused, attempt, code_of, is_passing
from bot.slack_chat.connection import Connection
from bot.slack_chat.names import split_key
from bot.slack_chat.sending import Look, Sender, message_fields
from bot.slack_chat.wording import escaped

MAX_STATUS_CHARS = 50  # of a loading line
TOO_LONG = "msg_too_long"
REMOVED = "_This answer was removed. Slack does not let me delete what I wrote under another name._"
UNSETTLED = re.compile(r"(?:@|<!)\w*$|\s*`+$")  # may become a call, or close code that goes on

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Page:
    """One message. `text` is what it must say, `sent` what its stream has been given; None once it is no stream."""

    text: str
    sent: str | None = None
    tail: str | None = None  # the message that shows what this one cannot take any more, from `offset` on
    offset: int = 0
    has_buttons: bool = False


class SlackScreen:
    """Implements `bot.chat.platform.ReplyScreen`; a message id is a `names.message_key`.

    `recipient` is the person who asked, whom Slack wants to know for a stream; None makes plain messages.
    """

    token: str | None = None
    placeholder: Placeholder | None = None

    def __init__(
        self, connection: Connection, channel: str, thread_ts: str | None, look: Look, *, recipient: str | None = None
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._thread_ts = thread_ts
        self._look = look
        self._sender = Sender(connection, channel, thread_ts, look)
        self._recipient = recipient
        self.header = "" if connection.can_wear_faces else header(look.title)
        self.buttons: ReplyButtons | None = None
        self.moved: dict[str, str] = {}
        self.added: list[str] = []
        self.on_removing: Callable[[str], Awaitable[None]] | None = None
        self._pages: dict[str, _Page] = {}
        self._can_stream = recipient is not None and thread_ts is not None

    @property
    def channel_key(self) -> str:
        return self._connection.own.team  # Slack counts calls for a whole workspace

    def is_seldom_edited(self, _message_id: str) -> bool:
        return False

    async def show_waiting(self, line: str) -> bool:
        """Say it as a status. Without the right to that, a message says it, which cannot be streamed then."""
        if self._thread_ts is None:
            return False
        fields: dict[str, Any] = {"status": "is thinking…" if line == FIRST_SIGN else f"is {line}"}
        if lines := [one[:MAX_STATUS_CHARS] for one in self._look.loading_lines]:
            fields["loading_messages"] = lines
        if self._connection.can_wear_faces:
            fields |= self._look.fields
        try:
            await self._connection.client.assistant_threads_setStatus(
                channel_id=self._channel, thread_ts=self._thread_ts, **fields
            )
        except OUTAGES as error:  # once is enough: the first word must not wait for it
            logger.info("No status can be shown: %s", code_of(error))
            if is_passing(error):
                return True
            self._can_stream = False
            return False
        return True

    async def post(self, text: str) -> str:
        """Show a further page. Raises ScreenGone and ScreenRefused, as everything here."""
        text = without_calls(text)
        await self._end_last_page()
        if self._can_stream:
            try:
                return await self._start_stream(text)
            except Refused as error:
                logger.info("Slack streams nothing here (%s); plain messages do", error.code)
                self._can_stream = False
        key = await self._post(text, self.buttons)
        self._pages[key] = _Page(text, has_buttons=self.buttons is not None)
        return key

    async def edit(self, message_id: str, text: str) -> None:
        if message_id not in self._pages:  # a page of an earlier reply, which is rewritten
            await self._end_last_page()
            self._pages[message_id] = _Page("")
        page = self._pages[message_id]
        page.text = without_calls(text)
        if page.sent is None:
            await self._change(message_id, page, self._buttons_of(message_id))
        else:
            await self._append(message_id, page)

    async def remove(self, message_id: str) -> None:
        """Where Slack does not let it be deleted, its words go and a sentence says so."""
        if self.on_removing is not None:
            await self.on_removing(message_id)
        self._pages.pop(message_id, None)
        channel, ts = split_key(message_id)
        client = self._connection.client
        try:
            await attempt(lambda: client.chat_delete(channel=channel, ts=ts))
        except Refused as error:
            logger.info("A message cannot be deleted (%s); its words are", error.code)
            await attempt(lambda: client.chat_update(channel=channel, ts=ts, **message_fields(REMOVED)))

    async def show_buttons(self, buttons: ReplyButtons | None) -> None:
        """Put these under the last message, which ends its stream."""
        self.buttons = buttons
        if self._pages:
            await self._finish(next(reversed(self._pages)), buttons)

    async def _start_stream(self, text: str) -> str:
        sent = _settled(text) or FIRST_SIGN
        key = await self._sender.start_stream(sent, str(self._recipient))
        self._pages[key] = _Page(text, sent)
        return key

    async def _append(self, message_id: str, page: _Page) -> None:
        """Send what is new and will stay as it is; the rest waits for more, or for the end."""
        settled, sent = _settled(page.text), page.sent or ""
        if not settled.startswith(sent) or settled == sent:
            return
        channel, ts = split_key(message_id)
        client = self._connection.client
        try:
            await attempt(lambda: client.chat_appendStream(channel=channel, ts=ts, markdown_text=settled[len(sent) :]))
            page.sent = settled
        except Refused as error:
            logger.info("The stream of %s has ended (%s); the message is updated instead", message_id, error.code)
            page.sent = None
            self._can_stream = False
            await self._change(message_id, page, None, shown=sent)

    async def _end_last_page(self) -> None:
        if self._pages:
            last = next(reversed(self._pages))
            if self._pages[last].sent is not None or self._pages[last].has_buttons:
                await self._finish(last, None)

    async def _finish(self, message_id: str, buttons: ReplyButtons | None) -> None:
        """Let a page say all it must, with these buttons."""
        page = self._pages[message_id]
        sent, whole = page.sent, page.text
        if sent is None:
            await self._change(message_id, page, buttons)
            return
        channel, ts = split_key(message_id)
        client = self._connection.client
        is_right = whole.startswith(sent)
        titles = [] if self._connection.can_wear_faces else self._title_blocks()
        blocks = [*titles, *blocks_of(buttons)] if is_right else []
        fields: dict[str, Any] = {"blocks": blocks} if blocks else {}
        if is_right and whole != sent:
            fields["markdown_text"] = whole[len(sent) :]
        page.sent, page.has_buttons = None, buttons is not None
        try:
            await attempt(lambda: client.chat_stopStream(channel=channel, ts=ts, **fields))
        except Refused as error:
            logger.info("The stream of %s had ended (%s); the message is updated instead", message_id, error.code)
            is_right = False
        if not is_right:
            await self._change(message_id, page, buttons, shown=sent)

    async def _change(self, message_id: str, page: _Page, buttons: ReplyButtons | None, shown: str = "") -> None:
        """Rewrite a message. What it cannot take any more goes on in a further one; `shown` is what stands there."""
        page.has_buttons = buttons is not None
        channel, ts = split_key(page.tail or message_id)
        client = self._connection.client
        fields = message_fields(page.text[page.offset :], [*self._title_blocks(), *blocks_of(buttons)])
        try:
            await attempt(lambda: client.chat_update(channel=channel, ts=ts, **fields))
        except Refused as error:
            if page.tail is not None or not shown:
                raise
            logger.info("The message %s takes no change (%s); the reply goes on below it", message_id, error.code)
            page.offset = len(shown) if page.text.startswith(shown) and page.text != shown else 0
            page.tail = await self._post(page.text[page.offset :], buttons)
            self.added.append(page.tail)

    async def _post(self, text: str, buttons: ReplyButtons | None) -> str:
        """A plain message; one that Slack finds too long goes out in parts, and the last has the buttons."""
        parts, key = [text], ""
        while parts:
            part = parts.pop(0)
            try:
                posted = await self._sender.post(part, blocks_of(None if parts else buttons))
            except Refused as error:
                if error.code != TOO_LONG or len(part) < 2 * MIN_LIMIT:
                    raise
                parts[:0] = split_message(part, len(part) // 2 + 1)
            else:
                if key:
                    self.added.append(posted)
                key = key or posted
        return key

    def _title_blocks(self) -> list[dict[str, Any]]:
        """Who speaks: Slack shows a changed message under the bot's own name."""
        if self.header:
            return []
        return [{"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(self._look.title)}]}]

    def _buttons_of(self, message_id: str) -> ReplyButtons | None:
        """The last message has them."""
        return self.buttons if message_id == next(reversed(self._pages)) else None


def _settled(text: str) -> str:
    """The beginning of a page that stays as it is while the page grows."""
    return UNSETTLED.sub("", text).rstrip()
