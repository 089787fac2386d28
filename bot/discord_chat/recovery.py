"""Shows replies to their end that a crash, or an outage of Discord or the store, left half shown.

Messages that were missed meanwhile stay unanswered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import discord

from bot.discord_chat import places
from bot.discord_chat.left_pages import LeftPage, button_ids, reach
from bot.discord_chat.refusals import WayLost, attempt
from bot.discord_chat.talking import MAX_CHARS
from bot.discord_chat.wording import header, own_words
from bot.reply_pages import ReplyPages, is_waiting_line
from bot.reply_stream import ScreenGone, ScreenRefused, ScreenUnreachable
from core.errors import PersonasError
from core.jobs import JobStatus
from core.messages import FinishReason, ReplyChunk
from core.store import exchanges
from core.store.models import Delivery, Exchange

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

# A message may be on the screen although the program ended before it could note that.
LOOKED_FOR_S = 3600.0  # how far back such messages are looked for
LOOKED_THROUGH = 25  # messages after the question
AGAIN_AFTER_S = 60.0
CUT_OFF = "This reply could not be shown to its end; ask again, please."
MAY_BE_CUT_OFF = "This reply may be cut off; ask again, please."
NOT_LOOKED_UP = "What was left on Discord cannot be looked up: %s"
SMALL_PRINT = "-# {}"

logger = logging.getLogger(__name__)


class Recovery:
    """`look` before the first event, so that only what was left earlier is found; then `keep_mending`."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._left: list[Exchange] = []
        self._unshown: list[Exchange] = []

    async def look(self) -> None:
        """Find the replies whose last word was never shown, and those that may be shown although nothing is noted."""
        await self._look_for_left()
        since = time.time() - LOOKED_FOR_S
        try:
            async with self._chat.service.store.read() as session:
                found = await exchanges.unshown(session, places.SOURCE, since=since)
        except PersonasError as error:
            logger.warning(NOT_LOOKED_UP, error)
            return
        self._unshown = self._not_running(found)

    async def keep_mending(self) -> None:
        """Mend what `look` found, and from time to time what Discord or the store was out of reach for."""
        while True:
            try:
                await self._tidy()
                await asyncio.sleep(AGAIN_AFTER_S)
                await self._look_for_left()
            except Exception:  # the loop's boundary: one reply that cannot be mended leaves the others alone
                logger.exception("Mending replies on Discord failed")
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _look_for_left(self) -> None:
        """Without the store there is nothing to find them by."""
        try:
            async with self._chat.service.store.read() as session:
                found = await exchanges.undelivered(session, places.SOURCE)
        except PersonasError as error:
            logger.warning(NOT_LOOKED_UP, error)
            return
        self._left = self._not_running([exchange for exchange, _ in found])

    def _not_running(self, found: list[Exchange]) -> list[Exchange]:
        """Those that nobody is about to show to their end."""
        return [exchange for exchange in found if not self._chat.talking.is_running(exchange.id)]

    async def _tidy(self) -> None:
        """Show each of them to its end, with the buttons of a reply that has ended."""
        while self._unshown:
            exchange = self._unshown.pop()
            try:
                await self._find(exchange)
            except (PersonasError, WayLost) as error:
                logger.info("Whether reply %s of an earlier run is shown cannot be found out: %r", exchange.id, error)
        while self._left:
            exchange = self._left.pop(0)
            try:
                await self._tidy_one(exchange)
                logger.info("Reply %s, which was not shown to its end, is mended", exchange.id)
            except PersonasError as error:
                logger.info("What was left of reply %s stays for now: %s", exchange.id, error)

    async def _find(self, exchange: Exchange) -> None:
        """Note the message that shows this exchange, if one does: its buttons name it."""
        channel_id, question_id = places.split_key(exchange.question_id or "")
        channel = self._chat.bot.get_partial_messageable(channel_id)

        async def read() -> list[discord.Message]:
            question = discord.Object(question_id)
            return [message async for message in channel.history(after=question, limit=LOOKED_THROUGH)]

        for message in await attempt(read):
            if self._chat.context.is_own(message) and _names(message, exchange.id):
                key = places.message_key(channel_id, message.id)
                async with self._chat.service.store.write() as session:
                    await exchanges.add_delivery(session, exchange.id, key, is_final=False)
                self._left.append(exchange)
                return

    async def _tidy_one(self, exchange: Exchange) -> None:
        async with self._chat.service.store.read() as session:
            noted = await exchanges.deliveries_of(session, exchange.id)
            variants = await exchanges.variants(session, exchange.id)
        pages = sorted((page for page in noted if not page.is_final), key=lambda page: page.position)
        if not pages:  # something else is shown there by now
            return
        row = self._chat.bot.row
        view = None if row is None else row(exchange.id, variants)
        try:
            await self._show(exchange, pages, view)
        except ScreenUnreachable:
            raise  # so it stays noted, for the next time
        except (ScreenGone, ScreenRefused, WayLost) as error:
            logger.info("Reply %s of an earlier run cannot be edited any more: %r", exchange.id, error)
        async with self._chat.service.store.write() as session:
            await exchanges.finish_deliveries(session, exchange.id)

    async def _show(self, exchange: Exchange, pages: list[Delivery], view: discord.ui.View | None) -> None:
        """All that was written, where it is known; else what is shown already, or why there is nothing."""
        first = await self._reach(pages[0])
        words = self._chat.context.exact_reply_of(exchange)
        shown = own_words(first.content)
        if words is None and exchange.status == JobStatus.SUCCEEDED and shown and not is_waiting_line(shown):
            await self._end(pages[-1], view)
            return
        texts = [exchange.error or CUT_OFF]
        if words is not None:
            title = header(self._chat.identities.title(exchange.model)) if first.has_header else ""
            end = ReplyChunk(finish_reason=cast(FinishReason, exchange.finish_reason), error=exchange.error)
            texts = ReplyPages(MAX_CHARS, title, SMALL_PRINT).of(words, end, None)
        for number, text in enumerate(texts):
            fields = {"content": text, "view": view if number == len(texts) - 1 else None}
            if number < len(pages):
                page = first if number == 0 else await self._reach(pages[number])
                await attempt(partial(page.edit, **fields))
                await self._note(pages[number], page.key)
            else:
                await self._post(first, pages[0], number, fields)
        for left_over in pages[len(texts) :]:
            await self._remove(left_over)

    async def _end(self, page: Delivery, view: discord.ui.View | None) -> None:
        """End a reply whose words nobody knows any more. Where ⏹ stands below them, the last of them may be missing."""
        last = await self._reach(page)
        note = SMALL_PRINT.format(MAY_BE_CUT_OFF)
        longer = f"{last.content}\n{note}"
        if not last.is_running:
            await attempt(partial(last.edit, view=view))
        elif len(longer) <= MAX_CHARS:
            await attempt(partial(last.edit, content=longer, view=view))
        else:
            await self._post(last, page, page.position + 1, {"content": note, "view": view})
            await attempt(partial(last.edit, view=None))

    async def _reach(self, page: Delivery) -> LeftPage:
        return await attempt(lambda: reach(self._chat.bot, page))

    async def _post(self, first: LeftPage, noted: Delivery, number: int, fields: dict[str, Any]) -> None:
        """Show a further page. Noted at once, so that it is not posted twice."""
        given = {name: value for name, value in fields.items() if value is not None}
        message = await attempt(partial(first.post, **given))
        key = places.message_key(places.split_key(first.key)[0], message.id)
        async with self._chat.service.store.write() as session:
            await exchanges.add_delivery(
                session, noted.exchange_id, key, position=number, is_final=False, token=noted.token
            )

    async def _note(self, page: Delivery, key: str) -> None:
        """Note the message that shows a page, in place of what stood for it."""
        if key == page.message_id:
            return
        async with self._chat.service.store.write() as session:
            await exchanges.remove_delivery(session, places.SOURCE, page.message_id)
            await exchanges.add_delivery(session, page.exchange_id, key, is_final=False, token=page.token)

    async def _remove(self, page: Delivery) -> None:
        """Take a further page away, once it shows nothing any more: its deletion is none of a person's."""
        async with self._chat.service.store.write() as session:
            await exchanges.remove_delivery(session, places.SOURCE, page.message_id)
        channel_id, message_id = places.split_key(page.message_id)
        channel = self._chat.bot.get_partial_messageable(channel_id)
        try:
            await attempt(lambda: channel.get_partial_message(message_id).delete())
        except (ScreenGone, ScreenRefused) as error:
            logger.info("A page of an earlier run stays: %s", error)


def _names(message: discord.Message, exchange_id: str) -> bool:
    """Whether a button of this message is one of this exchange."""
    return any(exchange_id in custom_id.split(":") for custom_id in button_ids(message))
