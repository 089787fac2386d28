"""Shows replies to their end that a crash, or an outage of Slack or the store, left half shown.

Messages that were missed meanwhile stay unanswered; thumbs that nobody told of are looked up.
"""

from __future__ import annotations

import asyncio
import logging
import time

from bot.chat.buttons import buttons_of
from bot.chat.message_split import Page
from bot.chat.platform import ScreenGone, ScreenRefused, ScreenUnreachable
from bot.chat.recovery import MAY_BE_CUT_OFF, LeftReplies
from bot.chat.replies import RunningReplies
from bot.slack_chat.calls import Refused, attempt
from bot.slack_chat.connection import CAPABILITIES, Connection
from bot.slack_chat.history import History
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import SOURCE, split_key
from bot.slack_chat.reactions import Reactions
from bot.slack_chat.wording import own_words
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store
from core.store.models import Delivery, Exchange

AGAIN_AFTER_S = 60.0
SHOWN_WITHIN_S = 7 * 24 * 3600.0  # older replies are seldom judged, and every message costs a look
MAX_SHOWN = 50

logger = logging.getLogger(__name__)


class Recovery:
    """`look` before the first event, so that only what was left earlier is found; then `keep_mending`.

    `needs_catch_up` says that thumbs may have been missed, as they are while the program does not run.
    """

    def __init__(
        self,
        connection: Connection,
        store: Store,
        left_replies: LeftReplies,
        replies: RunningReplies,
        history: History,
        identities: Identities,
        reactions: Reactions,
        needs_catch_up: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._store = store
        self._left_replies = left_replies
        self._replies = replies
        self._history = history
        self._identities = identities
        self._reactions = reactions
        self._needs_catch_up = needs_catch_up
        self._half_shown: list[Exchange] = []

    async def look(self) -> None:
        """Find the replies whose last word was never shown."""
        self._half_shown = await self._left_replies.half_shown(self._replies.is_running)
        self._needs_catch_up.set()

    async def keep_mending(self) -> None:
        """Mend what `look` found, and from time to time what Slack or the store was out of reach for."""
        while True:
            try:
                await self._mend_all()
                if self._needs_catch_up.is_set():
                    self._needs_catch_up.clear()
                    await self._read_thumbs()
                await asyncio.sleep(AGAIN_AFTER_S)
                self._half_shown = await self._left_replies.half_shown(self._replies.is_running)
            except Exception:  # the loop's boundary: one reply that cannot be mended leaves the others alone
                logger.exception("Mending replies on Slack failed")
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _mend_all(self) -> None:
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
        shown: dict[str, Page] = {}
        try:
            shown = await self._show(exchange, pages)
        except ScreenUnreachable:
            raise  # so it stays noted, for the next time
        except (ScreenGone, ScreenRefused) as error:
            logger.info("Reply %s of an earlier run cannot be changed any more: %s", exchange.id, error)
        await self._left_replies.finish(exchange.id, shown)

    async def _show(self, exchange: Exchange, pages: list[Delivery]) -> dict[str, Page]:
        """What the messages say now, as far as it is known."""
        async with self._store.read() as session:
            buttons = buttons_of(await exchanges.variants(session, exchange.id), exchange.id)
        for page in pages:
            await self._end_stream(page.message_id)
        first = await self._history.fetch(pages[0].message_id)
        if first is None:
            raise ScreenGone("The reply was deleted.")
        left = own_words(first.get("text") or "")
        screen = self._identities.screen_on(pages[0].message_id, first.get("thread_ts"), exchange.model)
        due = self._left_replies.due(exchange, header=screen.header, left_text=left)
        if due is None:
            note = CAPABILITIES.small_print.format(MAY_BE_CUT_OFF)
            due = [Page(f"{left}\n{note}", tail=len(note) + 1)]
            pages = pages[:1]
        shown = {}
        for number, due_page in enumerate(due):
            if number < len(pages):
                key = pages[number].message_id
                await screen.edit(key, due_page.text)
            else:
                key = await screen.post(due_page.text)
                await self._left_replies.note_page(exchange.id, key, position=number)
            shown[key] = due_page
        await screen.show_buttons(buttons)
        for left_over in pages[len(due) :]:
            await self._left_replies.remove_note(left_over)
            await screen.remove(left_over.message_id)
        return shown

    async def _end_stream(self, key: str) -> None:
        """Slack changes no message that is still being streamed."""
        channel, ts = split_key(key)
        client = self._connection.client
        try:
            await attempt(lambda: client.chat_stopStream(channel=channel, ts=ts))
        except Refused as error:  # it was none, or has ended by itself
            logger.debug("No stream is to be ended in %s: %s", key, error)

    async def _read_thumbs(self) -> None:
        """Let what is kept of the newest replies agree with the thumbs that stand under them."""
        async with self._store.read() as session:
            since = time.time() - SHOWN_WITHIN_S
            shown = await exchanges.shown_since(session, SOURCE, since=since, limit=MAX_SHOWN)
        for exchange_id in dict.fromkeys(exchange_id for _, exchange_id, _ in shown):
            await self._reactions.read_again(exchange_id)
