"""👍 and 👎 as reactions to replies: given, taken back, swept away by a moderator. Knows no buttons.

Raw events, so it is all the same how old the message is and who posted it; deliveries tell which reply it shows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import discord

from bot.discord_chat.places import SOURCE, message_key, split_key, user_id
from bot.discord_chat.refusals import UNREADABLE, attempt
from bot.feedback_intake import Standing, give_missing, keep_standing, record_feedback
from bot.reply_stream import ScreenGone
from core.errors import InvalidInput, NotFound, StoreUnavailable
from core.store import exchanges

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat
    from core.store.models import Exchange

REACTION = f"{SOURCE}:reaction"
"""Where the judgement was given: apart from the buttons', so that only reactions are taken back with reactions."""

LABELS = {"👍": True, "👎": False}
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
RETRY_DELAYS_S = (0.5, 2.0, 10.0, 30.0)  # while the store is out of order
NOTING_DELAYS_S = (0.1, 0.4, 1.5)  # a message may be reacted to before it is noted what it shows
YOUNG_S = 60.0

logger = logging.getLogger(__name__)


def label_of(emoji: discord.PartialEmoji | discord.Emoji | str) -> bool | None:
    """What an emoji says of a reply: True for a thumb up in any skin, False for a thumb down, None for all others."""
    if not isinstance(emoji, str):
        if emoji.id is not None:  # a server's own, whatever it is called
            return None
        emoji = emoji.name
    return LABELS.get(emoji.rstrip(f"{SKIN_TONES}\ufe0f"))


class Reactions:
    """`listen` puts it on the chat's bot. Events of one message are taken in one after another, as they came."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._bot = chat.bot
        self._store = chat.service.store
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def listen(self) -> None:
        self._bot.add_listener(self.on_add, "on_raw_reaction_add")
        self._bot.add_listener(self.on_remove, "on_raw_reaction_remove")
        self._bot.add_listener(self.on_clear, "on_raw_reaction_clear")
        self._bot.add_listener(self.on_clear_emoji, "on_raw_reaction_clear_emoji")

    async def on_add(self, event: discord.RawReactionActionEvent) -> None:
        label = label_of(event.emoji)
        is_of_bot = event.user_id == self._chat.own_id or (event.member is not None and event.member.bot)
        if label is None or is_of_bot or self._is_elsewhere(event.message_author_id):
            return
        person = user_id(discord.Object(event.user_id))
        await self._in_turn(event, partial(self._give, user_id=person, label=label))

    async def on_remove(self, event: discord.RawReactionActionEvent) -> None:
        label = label_of(event.emoji)
        if label is not None and event.user_id != self._chat.own_id:
            await self._in_turn(event, partial(self._take_back, label=label, only=event.user_id))

    async def on_clear(self, event: discord.RawReactionClearEvent) -> None:
        await self._in_turn(event, self._take_back)

    async def on_clear_emoji(self, event: discord.RawReactionClearEmojiEvent) -> None:
        label = label_of(event.emoji)
        if label is not None:
            await self._in_turn(event, partial(self._take_back, label=label))

    async def read_again(self, exchange_id: str) -> None:
        """Let what is kept agree with the thumbs that stand under a reply; where they cannot be read, nothing changes.

        Raises StoreUnavailable.
        """
        pages = await self._pages(exchange_id)
        async with self._alone(pages):
            await self._chat.talking.ended(exchange_id)
            if not pages or await self._pages(exchange_id) != pages:  # something else is shown by now
                return
            try:
                standing = _by_person([await attempt(partial(self._thumbs, key)) for key in pages])
                await keep_standing(self._store, exchange_id, standing, source=REACTION)
                await give_missing(self._store, exchange_id, standing, source=REACTION)
            except (*UNREADABLE, InvalidInput, NotFound) as error:
                logger.info("The reactions to %s stay as they are known: %s", exchange_id, error)

    async def _in_turn(
        self,
        event: discord.RawReactionActionEvent | discord.RawReactionClearEvent | discord.RawReactionClearEmojiEvent,
        take_in: Callable[[Exchange], Awaitable[None]],
    ) -> None:
        """Take an event in once the reply it is about has ended, again and again while the store is out of order."""
        key = message_key(event.channel_id, event.message_id)
        with self._chat.talking.busy():
            async with self._alone([key]):
                for delay_s in (*RETRY_DELAYS_S, None):
                    try:
                        await self._take_in(key, event.message_id, take_in)
                        break
                    except StoreUnavailable as error:
                        if delay_s is None:
                            logger.warning("A reaction to %s will be read later: %s", key, error)
                            self._chat.is_behind.set()
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

    async def _take_in(self, key: str, message_id: int, take_in: Callable[[Exchange], Awaitable[None]]) -> None:
        exchange = await self._shown_by(key, message_id)
        if exchange is None:
            return
        await self._chat.talking.ended(exchange.id)
        try:
            await take_in(exchange)
        except (InvalidInput, NotFound) as error:  # a reply that failed or was stopped is not judged
            logger.debug("A reaction to %s does not count: %s", key, error)

    async def _shown_by(self, key: str, message_id: int) -> Exchange | None:
        """The exchange that a message shows. One that was posted a moment ago may not be noted yet."""
        age_s = (discord.utils.utcnow() - discord.utils.snowflake_time(message_id)).total_seconds()
        for delay_s in (*(NOTING_DELAYS_S if age_s < YOUNG_S else ()), None):
            async with self._store.read() as session:
                found = await exchanges.find_by_delivery(session, SOURCE, key)
            if found is not None or delay_s is None:
                return found
            await asyncio.sleep(delay_s)
        raise AssertionError  # the last round returns

    def _is_elsewhere(self, author_id: int | None) -> bool:
        """Whether a message is known to be another's. Of a webhook's, Discord names no author."""
        return author_id is not None and author_id != self._chat.own_id

    async def _give(self, exchange: Exchange, *, user_id: str, label: bool) -> None:
        await record_feedback(self._store, exchange_id=exchange.id, user_id=user_id, label=label, source=REACTION)

    async def _take_back(self, exchange: Exchange, *, label: bool | None = None, only: int | None = None) -> None:
        """Let go of what reactions gave that do not stand any more: everybody's, or one person's.

        Where that cannot be read, what went is known from the event alone, `label`: thumbs of the other kind stay.
        """
        found = []
        is_all_read = True
        for key in await self._pages(exchange.id):
            try:
                found.append(await attempt(partial(self._thumbs, key, only)))
            except ScreenGone:  # nothing stands there
                continue
            except UNREADABLE as error:
                logger.info("The reactions to %s cannot be read: %s", key, error)
                is_all_read = False
        await keep_standing(
            self._store,
            exchange.id,
            _by_person(found),
            source=REACTION,
            user_id=None if only is None else user_id(discord.Object(only)),
            label=None if is_all_read else label,
        )

    async def _pages(self, exchange_id: str) -> list[str]:
        """The messages that show an exchange."""
        async with self._store.read() as session:
            return [page.message_id for page in await exchanges.deliveries_of(session, exchange_id)]

    async def _thumbs(self, key: str, only: int | None = None) -> list[tuple[str, bool]]:
        """Who has given a message which thumb, without bots: everybody, or one person. Raises what discord.py does."""
        channel_id, message_id = split_key(key)
        message = await self._bot.get_partial_messageable(channel_id).fetch_message(message_id)
        found: list[tuple[str, bool]] = []
        for reaction in message.reactions:
            label = label_of(reaction.emoji)
            if label is None:
                continue
            before = None if only is None else discord.Object(only - 1)  # Discord lists people by their ids
            for kind, count in (
                (discord.ReactionType.normal, reaction.normal_count),
                (discord.ReactionType.burst, reaction.burst_count),
            ):
                limit = count if only is None else min(count, 1)
                users = [user async for user in reaction.users(limit=limit, after=before, type=kind)]
                found += [(user_id(user), label) for user in users if not user.bot and only in (None, user.id)]
        return found


def _by_person(thumbs: Iterable[list[tuple[str, bool]]]) -> Standing:
    """The thumbs under all pages of a reply."""
    standing: defaultdict[str, set[bool]] = defaultdict(set)
    for page in thumbs:
        for person, label in page:
            standing[person].add(label)
    return standing
