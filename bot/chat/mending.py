"""Shows replies to their end that a crash, or an outage of the platform or the store, left half shown. Knows no SDK.

Messages that were missed meanwhile stay unanswered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.chat.answers import buttons_under
from bot.chat.buttons import ReplyButtons
from bot.chat.message_split import Page
from bot.chat.platform import Capabilities, ScreenGone, ScreenRefused, ScreenUnreachable
from bot.chat.recovery import MAY_BE_CUT_OFF, LeftReplies
from bot.chat.replies import RunningReplies
from core.errors import PersonasError, StoreUnavailable
from core.store.db import Store
from core.store.models import Delivery, Exchange

AGAIN_AFTER_S = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftPage:
    """One message of a reply, long after its screen is gone, and how it can still be changed.

    `content` is all that it shows; it begins with `header` where who speaks stands above the words. `is_running`: the
    last words may be missing. `edit` takes the new text, None leaves it, and the buttons below; `post` shows a further
    message and returns its key. Both raise ScreenGone and ScreenRefused.
    """

    key: str
    header: str
    content: str
    is_running: bool
    edit: Callable[[str | None, ReplyButtons | None], Awaitable[object]]
    post: Callable[[str, ReplyButtons | None], Awaitable[str]]


class LeftPages(Protocol):
    """The messages of earlier runs on one platform. Everything here raises ScreenGone and ScreenRefused."""

    async def reach(self, page: Delivery, model: str) -> LeftPage:
        """The message that shows this page of a reply by `model`."""

    async def remove(self, page: Delivery) -> None:
        """Take a message away that shows nothing any more."""

    async def find(self, exchange: Exchange) -> str | None:
        """The message that shows an exchange although nothing is noted of it; None where there is none."""


class Mending:
    """`look` before the first event, so that only what was left earlier is found; then `keep_mending`."""

    def __init__(
        self,
        platform: Capabilities,
        store: Store,
        left_replies: LeftReplies,
        replies: RunningReplies,
        left_pages: LeftPages,
    ) -> None:
        self._platform = platform
        self._store = store
        self._left_replies = left_replies
        self._replies = replies
        self._left_pages = left_pages
        self._half_shown: list[Exchange] = []
        self._without_a_note: list[Exchange] = []

    async def look(self) -> None:
        """Find the replies whose last word was never shown, and those that may be shown although nothing is noted."""
        self._half_shown = await self._left_replies.half_shown(self._replies.is_running)
        self._without_a_note = await self._left_replies.without_a_note(self._replies.is_running)

    async def keep_mending(self) -> None:
        """Mend what `look` found, and from time to time what the platform or the store was out of reach for."""
        while True:
            try:
                await self.mend_all()
                await asyncio.sleep(AGAIN_AFTER_S)
                self._half_shown = await self._left_replies.half_shown(self._replies.is_running)
            except Exception:  # the loop's boundary: one reply that cannot be mended leaves the others alone
                logger.exception("Mending replies on %s failed", self._platform.name)
                await asyncio.sleep(AGAIN_AFTER_S)

    async def mend_all(self) -> None:
        """Show each of them to its end, with the buttons of a reply that has ended."""
        while self._without_a_note:
            exchange = self._without_a_note.pop()
            try:
                if key := await self._left_pages.find(exchange):
                    await self._left_replies.note_page(exchange.id, key)
                    self._half_shown.append(exchange)
            except PersonasError as error:
                logger.info("Whether reply %s of an earlier run is shown cannot be found out: %s", exchange.id, error)
        while self._half_shown:
            exchange = self._half_shown.pop(0)
            try:
                await self._mend(exchange)
                logger.info("Reply %s, which was not shown to its end, is mended", exchange.id)
            except PersonasError as error:
                logger.info("What was left of reply %s stays for now: %s", exchange.id, error)

    async def _mend(self, exchange: Exchange) -> None:
        pages = await self._left_replies.pages_of(exchange)
        if not pages:  # something else is shown there by now
            return
        buttons = await buttons_under(self._store, exchange.id)
        shown: dict[str, Page] = {}
        try:
            shown = await self._show(exchange, pages, buttons)
        except ScreenUnreachable:
            raise  # so it stays noted, for the next time
        except (ScreenGone, ScreenRefused) as error:
            logger.info("Reply %s of an earlier run cannot be changed any more: %s", exchange.id, error)
        await self._left_replies.finish(exchange.id, shown)

    async def _show(
        self, exchange: Exchange, pages: Sequence[Delivery], buttons: ReplyButtons | None
    ) -> dict[str, Page]:
        """What the messages say now, as far as it is known."""
        first = await self._left_pages.reach(pages[0], exchange.model)
        left_text = first.content.removeprefix(first.header).strip()
        due = self._left_replies.due(exchange, header=first.header, left_text=left_text)
        if due is None:
            await self._end(first if len(pages) == 1 else None, pages[-1], exchange, buttons)
            return {}
        shown = {}
        for number, due_page in enumerate(due):
            below = buttons if number == len(due) - 1 else None
            if number < len(pages):
                page = first if number == 0 else await self._left_pages.reach(pages[number], exchange.model)
                await page.edit(due_page.text, below)
                await self._left_replies.replace_note(pages[number], page.key)
                shown[page.key] = due_page
            else:
                shown[await self._post(first, pages[0], number, due_page.text, below)] = due_page
        for left_over in pages[len(due) :]:
            await self._remove(left_over)
        return shown

    async def _end(
        self, last: LeftPage | None, page: Delivery, exchange: Exchange, buttons: ReplyButtons | None
    ) -> None:
        """End a reply whose words nobody knows any more, of which the last may be missing."""
        last = last or await self._left_pages.reach(page, exchange.model)
        note = self._platform.small_print.format(MAY_BE_CUT_OFF)
        longer = f"{last.content}\n{note}"
        if not last.is_running:
            await last.edit(None, buttons)
        elif len(longer) <= self._platform.max_chars:
            await last.edit(longer, buttons)
        else:
            await self._post(last, page, page.position + 1, note, buttons)
            await last.edit(None, None)

    async def _post(self, page: LeftPage, noted: Delivery, number: int, text: str, buttons: ReplyButtons | None) -> str:
        """Show a further page; the message's key."""
        key = await page.post(text, buttons)
        await self._left_replies.note_page(noted.exchange_id, key, position=number, token=noted.token)
        return key

    async def _remove(self, page: Delivery) -> None:
        """Take a further page away, once it shows nothing any more."""
        await self._left_replies.remove_note(page)
        try:
            await self._left_pages.remove(page)
        except (ScreenGone, ScreenRefused) as error:
            logger.info("A page of an earlier run stays: %s", error)


async def keep_up(needs_catch_up: asyncio.Event, catch_up: Callable[[], Awaitable[None]], platform: str) -> None:
    """Whenever something may have happened on a platform that no event told of, look it up."""
    while True:
        await needs_catch_up.wait()
        needs_catch_up.clear()
        try:
            await catch_up()
            logger.info("What happened on %s meanwhile is taken in", platform)
        except StoreUnavailable as error:
            logger.warning("What happened on %s meanwhile is looked up later: %s", platform, error)
            needs_catch_up.set()
        except Exception:  # the loop's boundary: the next time is caught up with all the same
            logger.exception("Looking up what happened on %s meanwhile failed", platform)
        await asyncio.sleep(AGAIN_AFTER_S)
