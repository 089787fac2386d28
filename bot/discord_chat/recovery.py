"""Shows replies to their end that a crash, or an outage of Discord or the store, left half shown.

Messages that were missed meanwhile stay unanswered.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import discord

from bot.chat.buttons import buttons_of
from bot.chat.message_split import Page
from bot.chat.platform import ScreenGone, ScreenRefused, ScreenUnreachable
from bot.chat.recovery import MAY_BE_CUT_OFF, LeftReplies
from bot.chat.replies import RunningReplies
from bot.discord_chat.buttons import view_of
from bot.discord_chat.calls import RouteClosed, attempt
from bot.discord_chat.connection import CAPABILITIES, Connection
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.left_pages import LeftPage, button_ids, reach
from bot.discord_chat.names import message_key, split_key
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store
from core.store.models import Delivery, Exchange

LOOKED_THROUGH = 25  # messages after the question
AGAIN_AFTER_S = 60.0

logger = logging.getLogger(__name__)


class Recovery:
    """`look` before the first event, so that only what was left earlier is found; then `keep_mending`."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        left_replies: LeftReplies,
        replies: RunningReplies,
        history: History,
        identities: Identities,
    ) -> None:
        self._connection = connection
        self._store = store
        self._left_replies = left_replies
        self._replies = replies
        self._history = history
        self._identities = identities
        self._half_shown: list[Exchange] = []
        self._without_a_note: list[Exchange] = []

    async def look(self) -> None:
        """Find the replies whose last word was never shown, and those that may be shown although nothing is noted."""
        self._half_shown = await self._left_replies.half_shown(self._replies.is_running)
        self._without_a_note = await self._left_replies.without_a_note(self._replies.is_running)

    async def keep_mending(self) -> None:
        """Mend what `look` found, and from time to time what Discord or the store was out of reach for."""
        while True:
            try:
                await self._mend_all()
                await asyncio.sleep(AGAIN_AFTER_S)
                self._half_shown = await self._left_replies.half_shown(self._replies.is_running)
            except Exception:  # the loop's boundary: one reply that cannot be mended leaves the others alone
                logger.exception("Mending replies on Discord failed")
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _mend_all(self) -> None:
        """Show each of them to its end, with the buttons of a reply that has ended."""
        while self._without_a_note:
            exchange = self._without_a_note.pop()
            try:
                await self._find(exchange)
            except (PersonasError, RouteClosed) as error:
                logger.info("Whether reply %s of an earlier run is shown cannot be found out: %r", exchange.id, error)
        while self._half_shown:
            exchange = self._half_shown.pop(0)
            try:
                await self._mend(exchange)
                logger.info("Reply %s, which was not shown to its end, is mended", exchange.id)
            except PersonasError as error:
                logger.info("What was left of reply %s stays for now: %s", exchange.id, error)

    async def _find(self, exchange: Exchange) -> None:
        """Note the message that shows this exchange, if one does: its buttons name it."""
        channel_id, question_id = split_key(exchange.question_id or "")
        channel = self._connection.client.get_partial_messageable(channel_id)

        async def read() -> list[discord.Message]:
            question = discord.Object(question_id)
            return [message async for message in channel.history(after=question, limit=LOOKED_THROUGH)]

        for message in await attempt(read):
            if self._history.is_own(message) and _names(message, exchange.id):
                await self._left_replies.note_page(exchange.id, message_key(channel_id, message.id))
                self._half_shown.append(exchange)
                return

    async def _mend(self, exchange: Exchange) -> None:
        pages = await self._left_replies.pages_of(exchange)
        if not pages:  # something else is shown there by now
            return
        async with self._store.read() as session:
            buttons = buttons_of(await exchanges.variants(session, exchange.id), exchange.id)
        shown: dict[str, Page] = {}
        try:
            shown = await self._show(exchange, pages, view_of(buttons))
        except ScreenUnreachable:
            raise  # so it stays noted, for the next time
        except (ScreenGone, ScreenRefused, RouteClosed) as error:
            logger.info("Reply %s of an earlier run cannot be edited any more: %r", exchange.id, error)
        await self._left_replies.finish(exchange.id, shown)

    async def _show(self, exchange: Exchange, pages: list[Delivery], view: discord.ui.View | None) -> dict[str, Page]:
        """What the messages say now, as far as it is known."""
        header = self._identities.header(exchange.model)
        first = await self._reach(pages[0], header)
        header = header if first.has_header else ""
        left_text = first.content.removeprefix(header).strip()
        due = self._left_replies.due(exchange, header=header, left_text=left_text)
        if due is None:
            await self._end(pages[-1], view)
            return {}
        shown = {}
        for number, due_page in enumerate(due):
            fields = {"content": due_page.text, "view": view if number == len(due) - 1 else None}
            if number < len(pages):
                page = first if number == 0 else await self._reach(pages[number], header)
                await attempt(partial(page.edit, **fields))
                await self._left_replies.replace_note(pages[number], page.key)
                shown[page.key] = due_page
            else:
                shown[await self._post(first, pages[0], number, fields)] = due_page
        for left_over in pages[len(due) :]:
            await self._remove(left_over)
        return shown

    async def _end(self, page: Delivery, view: discord.ui.View | None) -> None:
        """End a reply whose words nobody knows any more. Where ⏹ stands below them, the last of them may be missing."""
        last = await self._reach(page, "")
        note = CAPABILITIES.small_print.format(MAY_BE_CUT_OFF)
        longer = f"{last.content}\n{note}"
        if not last.is_running:
            await attempt(partial(last.edit, view=view))
        elif len(longer) <= CAPABILITIES.max_chars:
            await attempt(partial(last.edit, content=longer, view=view))
        else:
            await self._post(last, page, page.position + 1, {"content": note, "view": view})
            await attempt(partial(last.edit, view=None))

    async def _reach(self, page: Delivery, header: str) -> LeftPage:
        return await attempt(lambda: reach(self._connection.client, page, header))

    async def _post(self, first: LeftPage, noted: Delivery, number: int, fields: dict[str, Any]) -> str:
        """Show a further page; the message's key."""
        given = {name: value for name, value in fields.items() if value is not None}
        message = await attempt(partial(first.post, **given))
        key = message_key(split_key(first.key)[0], message.id)
        await self._left_replies.note_page(noted.exchange_id, key, position=number, token=noted.token)
        return key

    async def _remove(self, page: Delivery) -> None:
        """Take a further page away, once it shows nothing any more."""
        await self._left_replies.remove_note(page)
        channel_id, message_id = split_key(page.message_id)
        channel = self._connection.client.get_partial_messageable(channel_id)
        try:
            await attempt(lambda: channel.get_partial_message(message_id).delete())
        except (ScreenGone, ScreenRefused) as error:
            logger.info("A page of an earlier run stays: %s", error)


def _names(message: discord.Message, exchange_id: str) -> bool:
    """Whether a button of this message is one of this exchange."""
    return any(exchange_id in custom_id.split(":") for custom_id in button_ids(message))
