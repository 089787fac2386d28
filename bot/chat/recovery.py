"""Which replies a crash or an outage left half shown, and what their messages must say. Knows no SDK."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import cast

from bot.chat.memory import Memory
from bot.chat.message_split import Page
from bot.chat.platform import Capabilities
from bot.chat.reply_pages import ReplyPages, is_waiting_line
from core.errors import PersonasError
from core.messages import FinishReason, ReplyChunk
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import Store
from core.store.models import Delivery, Exchange

# A message may be on the screen although the program ended before it could note that.
LOOKED_FOR_S = 3600.0  # how far back such messages are looked for
CUT_OFF = "This reply could not be shown to its end; ask again, please."
MAY_BE_CUT_OFF = "This reply may be cut off; ask again, please."
NOT_LOOKED_UP = "What was left half shown cannot be looked up: %s"

logger = logging.getLogger(__name__)


class LeftReplies:
    """Finds in the ledger what one platform, `source`, still has to show."""

    def __init__(self, store: Store, source: str, memory: Memory, capabilities: Capabilities) -> None:
        self._store = store
        self._source = source
        self._memory = memory
        self._capabilities = capabilities

    async def half_shown(self, is_running: Callable[[str], bool]) -> list[Exchange]:
        """Replies that have ended but whose last word was never shown; none while the store is out of order."""
        try:
            async with self._store.read() as session:
                found = await exchanges.undelivered(session, self._source)
        except PersonasError as error:
            logger.warning(NOT_LOOKED_UP, error)
            return []
        return [exchange for exchange, _ in found if not is_running(exchange.id)]

    async def without_a_note(self, is_running: Callable[[str], bool]) -> list[Exchange]:
        """Replies that may be shown although nothing is noted; none while the store is out of order."""
        try:
            async with self._store.read() as session:
                found = await exchanges.unshown(session, self._source, since=time.time() - LOOKED_FOR_S)
        except PersonasError as error:
            logger.warning(NOT_LOOKED_UP, error)
            return []
        return [exchange for exchange in found if not is_running(exchange.id)]

    async def pages_of(self, exchange: Exchange) -> list[Delivery]:
        """The messages of a reply that do not show its end yet, page by page."""
        async with self._store.read() as session:
            noted = await exchanges.deliveries_of(session, exchange.id)
        return sorted((page for page in noted if not page.is_final), key=lambda page: page.position)

    def due(self, exchange: Exchange, *, header: str, left_text: str) -> list[Page] | None:
        """What the messages must say: all that was written, where it is known, or why there is nothing.

        None where its words are known to nobody any more, but some of them stand in `left_text`: those stay.
        """
        words = self._memory.reply_of(exchange)
        if words is not None:
            end = ReplyChunk(finish_reason=cast(FinishReason, exchange.finish_reason), error=exchange.error)
            pages = ReplyPages(self._capabilities.max_chars, header, self._capabilities.small_print)
            return pages.pages_of(words, end, None)
        if exchange.status == JobStatus.SUCCEEDED and left_text and not is_waiting_line(left_text):
            return None
        why = exchange.error or CUT_OFF
        return [Page(why, len(why))]

    async def note_page(self, exchange_id: str, key: str, *, position: int = 0, token: str | None = None) -> None:
        """Note that a message shows a page whose end is still to come, so that it is not posted twice."""
        async with self._store.write() as session:
            await exchanges.add_delivery(session, exchange_id, key, position=position, is_final=False, token=token)

    async def replace_note(self, page: Delivery, key: str) -> None:
        """Note the message that shows a page, in place of what stood for it."""
        if key == page.message_id:
            return
        async with self._store.write() as session:
            await exchanges.remove_delivery(session, self._source, page.message_id)
            await exchanges.add_delivery(session, page.exchange_id, key, is_final=False, token=page.token)

    async def remove_note(self, page: Delivery) -> None:
        """A further page is taken away; its deletion is none of a person's."""
        async with self._store.write() as session:
            await exchanges.remove_delivery(session, self._source, page.message_id)

    async def finish(self, exchange_id: str, shown: Mapping[str, Page]) -> None:
        """The reply is shown to its end, by these messages as far as it is known what they say."""
        marks = {key: (page.head, page.tail) for key, page in shown.items()}
        async with self._store.write() as session:
            await exchanges.finish_deliveries(session, exchange_id, marks=marks)
