"""Notes in the ledger which message shows which page of a reply: a thumb finds its answer by it, and a crash is mended.

Without the store a reply goes on without a note; its end is the second try.
"""

from __future__ import annotations

import logging
from functools import partial

from bot.chat.answers import buttons_under
from bot.chat.buttons import ReplyButtons
from bot.chat.platform import IncomingMessage, ReplyScreen
from bot.chat.reply_stream import Delivered
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store

logger = logging.getLogger(__name__)


class Deliveries:
    """What the messages of one platform, `source`, show."""

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._source = source
        self._unnoted: set[str] = set()  # the exchanges that have a page the store did not take

    async def note_page(self, exchange_id: str, screen: ReplyScreen, message_id: str, page: int) -> None:
        """Note which message shows a page, in place of what stood for it."""
        placeholder = screen.placeholder
        former = message_id if placeholder is None else placeholder.message_id
        try:
            async with self._store.write() as session:
                await exchanges.remove_delivery(session, self._source, former)
                await exchanges.add_delivery(
                    session, exchange_id, message_id, position=page, is_final=False, token=screen.token
                )
        except PersonasError as error:
            self._unnoted.add(exchange_id)
            logger.warning("reply %s: %s", exchange_id, error)

    async def note_end(self, exchange_id: str, screen: ReplyScreen, delivered: Delivered) -> None:
        """Note what is shown at the end. What is not shown to its end stays noted as such, for recovery to mend."""
        page_ids = [screen.moved.get(message_id, message_id) for message_id in delivered.message_ids]
        page_ids += screen.added
        marks = {key: (page.head, page.tail) for key, page in zip(page_ids, delivered.pages, strict=False)}
        has_news = exchange_id in self._unnoted or bool(screen.moved or screen.added) or screen.placeholder is not None
        self._unnoted.discard(exchange_id)
        if delivered.is_shown and not has_news:
            # Every page is noted as one that changes. Lost in a crash, this only has them looked at once more.
            self._store.write_soon(partial(exchanges.finish_deliveries, exchange_id=exchange_id, marks=marks))
            return
        formers = list(screen.moved)
        if screen.placeholder is not None and (delivered.is_shown or page_ids):
            formers.append(screen.placeholder.message_id)
        try:
            async with self._store.write() as session:
                for former in formers:
                    await exchanges.remove_delivery(session, self._source, former)
                note = partial(exchanges.add_delivery, is_final=delivered.is_shown, token=screen.token)
                for page, message_id in enumerate(page_ids):
                    await note(session, exchange_id, message_id, position=page)
                if delivered.is_shown:
                    await exchanges.finish_deliveries(session, exchange_id, marks=marks)
        except PersonasError as error:
            logger.warning("reply %s: %s", exchange_id, error)

    async def remove(self, message_id: str) -> None:
        """A message that is about to be taken away shows nothing any more, so its deletion is none of a person's."""
        try:
            async with self._store.write() as session:
                await exchanges.remove_delivery(session, self._source, message_id)
        except PersonasError as error:
            logger.warning("What message %s shows stays noted: %s", message_id, error)

    async def buttons_due(
        self, exchange_id: str, message: IncomingMessage, delivered: Delivered
    ) -> ReplyButtons | None:
        """The buttons under a reply that has ended; none where the store that knows its variants is out of order."""
        if message.variant_of is None:
            return ReplyButtons(exchange_id, is_finished=delivered.finish_reason in ("stop", "length"))
        try:
            return await buttons_under(self._store, exchange_id)
        except PersonasError as error:
            logger.warning("reply %s has no buttons: %s", exchange_id, error)
            return None
