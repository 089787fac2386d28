"""👍 and 👎 as reactions to replies: given, taken back, swept away. Knows no SDK and no buttons.

It is all the same how old a message is and who posted it: deliveries tell which reply it shows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Protocol
from weakref import WeakValueDictionary

from bot.chat.judging import Standing, give_missing, keep_standing, record_feedback
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.chat.replies import RunningReplies
from core.errors import InvalidInput, NotFound, StoreUnavailable
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

RETRY_DELAYS_S = (0.5, 2.0, 10.0, 30.0)  # while the store is out of order
NOTING_DELAYS_S = (0.1, 0.4, 1.5)  # a message may be reacted to before it is noted what it shows
YOUNG_S = 60.0

logger = logging.getLogger(__name__)


class ReadThumbs(Protocol):
    """Who has given a message which thumb, without bots: everybody, or one person. Raises ScreenGone, ScreenRefused."""

    async def __call__(self, key: str, only: str | None = None) -> list[tuple[str, bool]]: ...


class Thumbs:
    """The reactions on one platform, `source`. Events of one message are taken in one after another, as they came.

    `needs_catch_up` is set where an event could not be taken in. A judgement is noted as given by "source:reaction",
    apart from the buttons', so that only reactions are taken back with reactions.
    """

    def __init__(
        self, store: Store, source: str, replies: RunningReplies, read: ReadThumbs, needs_catch_up: asyncio.Event
    ) -> None:
        self._store = store
        self._source = source
        self._given_by = f"{source}:reaction"
        self._replies = replies
        self._read = read
        self._needs_catch_up = needs_catch_up
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def give(self, key: str, user_id: str, *, label: bool, age_s: float) -> None:
        """A person has given a message, which is so many seconds old, a thumb."""
        await self._in_turn(key, age_s, partial(self._give, user_id=user_id, label=label))

    async def take_back(self, key: str, *, age_s: float, label: bool | None = None, only: str | None = None) -> None:
        """A person's thumb, or everybody's, was taken from a message: those of one kind or, without a label, both."""
        await self._in_turn(key, age_s, partial(self._take_back, label=label, only=only))

    async def read_again(self, exchange_id: str) -> None:
        """Let what is kept agree with the thumbs that stand under a reply; where they cannot be read, nothing changes.

        Raises StoreUnavailable.
        """
        pages = await self._pages(exchange_id)
        async with self._alone(pages):
            await self._replies.ended(exchange_id)
            if not pages or await self._pages(exchange_id) != pages:  # something else is shown by now
                return
            try:
                standing = _by_person([await self._read(key) for key in pages])
                await keep_standing(self._store, exchange_id, standing, source=self._given_by)
                await give_missing(self._store, exchange_id, standing, source=self._given_by)
            except (ScreenGone, ScreenRefused, InvalidInput, NotFound) as error:
                logger.info("The reactions to %s stay as they are known: %s", exchange_id, error)

    async def _in_turn(self, key: str, age_s: float, take_in: Callable[[Exchange], Awaitable[None]]) -> None:
        """Take an event in once the reply it is about has ended, again and again while the store is out of order."""
        with self._replies.busy():
            async with self._alone([key]):
                for delay_s in (*RETRY_DELAYS_S, None):
                    try:
                        await self._take_in(key, age_s, take_in)
                        break
                    except StoreUnavailable as error:
                        if delay_s is None:
                            logger.warning("A reaction to %s will be read later: %s", key, error)
                            self._needs_catch_up.set()
                        else:
                            logger.info("A reaction to %s waits for the store: %s", key, error)
                            await asyncio.sleep(delay_s)

    @asynccontextmanager
    async def _alone(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Wait for your turn at these messages. Always in the same order, so that no two wait for each other."""
        async with AsyncExitStack() as turns:
            for key in sorted(keys):
                await turns.enter_async_context(self._lines.setdefault(key, asyncio.Lock()))
            yield

    async def _take_in(self, key: str, age_s: float, take_in: Callable[[Exchange], Awaitable[None]]) -> None:
        exchange = await self._shown_by(key, age_s)
        if exchange is None:
            return
        await self._replies.ended(exchange.id)
        try:
            await take_in(exchange)
        except (InvalidInput, NotFound) as error:  # a reply that failed or was stopped is not judged
            logger.debug("A reaction to %s does not count: %s", key, error)

    async def _shown_by(self, key: str, age_s: float) -> Exchange | None:
        """The exchange that a message shows. One that was posted a moment ago may not be noted yet."""
        for delay_s in (*(NOTING_DELAYS_S if age_s < YOUNG_S else ()), None):
            async with self._store.read() as session:
                found = await exchanges.find_by_delivery(session, self._source, key)
            if found is not None or delay_s is None:
                return found
            await asyncio.sleep(delay_s)
        raise AssertionError  # the last round returns

    async def _give(self, exchange: Exchange, *, user_id: str, label: bool) -> None:
        await record_feedback(self._store, exchange_id=exchange.id, user_id=user_id, label=label, source=self._given_by)

    async def _take_back(self, exchange: Exchange, *, label: bool | None, only: str | None) -> None:
        """Let go of what reactions gave that do not stand any more.

        Where that cannot be read, what went is known from the event alone, `label`: thumbs of the other kind stay.
        """
        found = []
        is_all_read = True
        for key in await self._pages(exchange.id):
            try:
                found.append(await self._read(key, only))
            except ScreenGone:  # nothing stands there
                continue
            except ScreenRefused as error:
                logger.info("The reactions to %s cannot be read: %s", key, error)
                is_all_read = False
        await keep_standing(
            self._store,
            exchange.id,
            _by_person(found),
            source=self._given_by,
            user_id=only,
            label=None if is_all_read else label,
        )

    async def _pages(self, exchange_id: str) -> list[str]:
        """The messages that show an exchange."""
        async with self._store.read() as session:
            return [page.message_id for page in await exchanges.deliveries_of(session, exchange_id)]


def _by_person(thumbs: Iterable[list[tuple[str, bool]]]) -> Standing:
    """The thumbs under all pages of a reply."""
    standing: defaultdict[str, set[bool]] = defaultdict(set)
    for page in thumbs:
        for person, label in page:
            standing[person].add(label)
    return standing
