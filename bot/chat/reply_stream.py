"""Shows one reply on a chat platform while it is written, and always its end.

Knows no platform: a Screen shows messages, an EditBudget says when they may change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from bot.chat.edit_budget import EditBudget
from bot.chat.message_split import Page
from bot.chat.platform import Screen, ScreenGone, ScreenRefused, ScreenUnreachable
from bot.chat.reply_pages import ReplyPages, waiting_line
from bot.chat.responder import PendingReply
from core.errors import PersonasError
from core.messages import FinishReason, ReplyChunk
from core.queue.jobs import QueuePosition, ReplyUpdate

INTERVAL_S = 1.0  # between two changes of one reply, so that it leaves turns to others in the channel
REFRESH_S = 2.0  # how often a reply that waits shows a new place in line

OnPosted = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a reply. `text` is what the model wrote, without header and notes.

    `error` is the sentence of a reply that failed, or why the screen refused to show it. A reply whose screen went
    away or refused before its end is "cancelled". `is_shown` is False when the platform was out of reach: the reply
    has ended, but its messages may show less. `pages` are what the messages show, one each.
    """

    message_ids: tuple[str, ...]
    text: str
    finish_reason: FinishReason
    error: str | None = None
    dropped: int = 0
    is_shown: bool = True
    pages: tuple[Page, ...] = ()


class ReplyStream:
    """Delivers one reply to one screen. `limit` is the longest message in characters, `header` stands above the reply.

    `on_posted(message_id, page)` is told of every message that shows a page (0-based) as soon as it does.
    `small_print` is how the platform writes remarks, and `remarks` stand under the reply once it has ended.
    What the model thinks stands there, too, if it `shows_thoughts`. `interval_s` and `refresh_s` are seconds.
    """

    def __init__(
        self,
        screen: Screen,
        budget: EditBudget,
        *,
        limit: int,
        on_posted: OnPosted,
        header: str = "",
        small_print: str = "-# {}",
        remarks: tuple[str, ...] = (),
        shows_thoughts: bool = False,
        interval_s: float = INTERVAL_S,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._screen = screen
        self._budget = budget
        self._pages = ReplyPages(limit, header, small_print, remarks)
        self._on_posted = on_posted
        self._interval_s = interval_s
        self._refresh_s = refresh_s
        self._shows_thoughts = shows_thoughts
        self._text = self._thoughts = ""
        self._last: ReplyChunk | None = None
        self._position: QueuePosition | None = None
        self._has_news = asyncio.Event()
        self._message_ids: list[str] = []
        self._is_seldom_edited = False
        self._has_status = True  # until the screen says that only a message can show where the reply stands
        self._status = ""
        self._shown: list[Page] = []  # what the first of these messages show

    async def deliver(
        self, reply: PendingReply, *, onto: Sequence[str] = (), is_seldom_edited: bool = False
    ) -> Delivered:
        """Show the reply until it has ended; its final text always arrives. Call it once.

        `onto` are messages that show an earlier reply: they are used again before new ones are posted, and removed when
        they are left over. Where the platform lets them be edited but seldom (`is_seldom_edited`), they show a sign of
        life and then nothing before the reply's end. A reply that can't be shown to its end, because this is cancelled
        or the screen is gone or refuses, is cancelled. One that is shown in part when the platform goes out of reach is
        read to its end, so that it can be shown later.
        """
        self._message_ids = list(onto)
        self._is_seldom_edited = is_seldom_edited
        reading = asyncio.create_task(self._read(reply))
        refusal = None
        is_shown = True
        try:
            await self._wait_for_news()  # where it stands, or its first words
            await self._show_waiting()
            if changes := self._changes():  # the first sign of life waits for no turn
                await self._show(*changes[0])
            await self._show_until_ended(reading)
            await self._remove_left_over()
        except ScreenGone:
            pass  # nobody is left to be told
        except ScreenUnreachable as error:
            refusal, is_shown = str(error), False
            if self._shown:
                await asyncio.wait({reading})
        except ScreenRefused as error:
            refusal = str(error)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if self._last is None:
                await reply.cancel()  # nobody reads it any more
        page_ids = tuple(self._message_ids[: len(self._shown)])
        last = self._last or ReplyChunk(finish_reason="cancelled")
        reason = last.finish_reason or "cancelled"
        shown = tuple(self._shown)
        return Delivered(page_ids, self._text, reason, refusal or last.error, last.dropped, is_shown, shown)

    async def _read(self, reply: PendingReply) -> None:
        """Take in the reply as it is written."""
        try:
            async with aclosing(reply.updates()) as updates:
                async for update in updates:
                    self._take_in(update)
        except PersonasError as error:
            self._last = ReplyChunk(finish_reason="error", error=str(error), error_status=error.http_status)
        finally:
            self._has_news.set()

    def _take_in(self, update: ReplyUpdate) -> None:
        """Words are news at once; a later place in line is shown with the next refresh."""
        is_later_position = isinstance(update, QueuePosition) and self._position is not None
        if isinstance(update, QueuePosition):
            self._position = update
        else:
            self._text += update.text
            if self._shows_thoughts:
                self._thoughts += update.thoughts
            if update.finish_reason is not None:
                self._last = update
        if not is_later_position:
            self._has_news.set()

    async def _show_until_ended(self, reading: asyncio.Task[None]) -> None:
        while True:
            self._has_news.clear()
            is_ended = reading.done()
            if self._changes():
                await self._wait_for_turn(reading)
                if changes := self._changes():  # what came while it waited is shown as well
                    await self._show(*changes[0])
                await asyncio.wait({reading}, timeout=self._interval_s)
            elif is_ended:
                reading.result()  # raises what broke the reading
                return
            else:
                await self._show_waiting()
                await self._wait_for_news()

    async def _show_waiting(self) -> None:
        """Say beside the messages where the reply stands, while it has no words and the screen can say that."""
        line = waiting_line(self._position)
        if self._is_waiting and line != self._status:
            self._status = line
            self._has_status = await self._screen.show_waiting(line)

    @property
    def _is_waiting(self) -> bool:
        return self._has_status and not self._text and self._last is None

    def _changes(self) -> list[tuple[int, Page]]:
        """Pages that do not yet show what they should."""
        if self._is_waiting or (self._is_seldom_edited and self._shown and self._last is None):
            return []
        pages = self._pages.pages_of(self._text, self._last, self._position, self._thoughts)
        return [(number, page) for number, page in enumerate(pages) if self._is_news(number, page)]

    def _is_news(self, number: int, page: Page) -> bool:
        """Whether the message must change; where only marks of ours turn out to be words, it need not."""
        if number < len(self._shown) and self._shown[number].text == page.text:
            self._shown[number] = page
            return False
        return True

    async def _show(self, page: int, shown: Page) -> None:
        text = shown.text
        is_new, is_there = page == len(self._shown), page < len(self._message_ids)
        if is_new and is_there:  # a message of an earlier reply: a thumb may come as soon as it changes
            await self._on_posted(self._message_ids[page], page)
        if is_there:
            await self._screen.edit(self._message_ids[page], text)
        else:
            self._message_ids.append(await self._screen.post(text))
        self._shown[page : page + 1] = [shown]
        if is_new and not is_there:
            await self._on_posted(self._message_ids[page], page)

    async def _remove_left_over(self) -> None:
        for message_id in self._message_ids[len(self._shown) :]:
            await self._budget.take(is_final=True)
            with suppress(ScreenGone):
                await self._screen.remove(message_id)

    async def _wait_for_turn(self, reading: asyncio.Task[None]) -> None:
        """Take a turn; as soon as the reply has ended, before those that have not."""
        taking = asyncio.create_task(self._budget.take())
        try:
            await asyncio.wait({taking, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                await self._budget.take(is_final=True)
        finally:
            taking.cancel()

    async def _wait_for_news(self) -> None:
        """A reply without words shows its new place in line from time to time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if self._text else self._refresh_s):
                await self._has_news.wait()
