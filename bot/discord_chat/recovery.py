"""At start: what a crash left on the screen becomes a sentence. Messages that were missed meanwhile stay unanswered."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, cast

import discord

from bot.discord_chat import places
from bot.discord_chat.refusals import WayLost, attempt
from bot.discord_chat.screens import PINGS_NOBODY
from bot.discord_chat.talking import NOT_POSTED
from bot.reply_stream import ScreenGone, ScreenRefused
from core.errors import PersonasError
from core.store import exchanges
from core.store.models import Delivery, Exchange

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

# A message may be on the screen although the program ended before it could note that.
LOOKED_FOR_S = 3600.0  # how far back such messages are looked for
LOOKED_THROUGH = 25  # messages after the question
CUT_OFF = "The program ended before this reply was shown to its end; ask again, please."

logger = logging.getLogger(__name__)


class Recovery:
    """`look` before the first event, so that only an earlier run's replies are found; then `tidy`."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._left: list[tuple[Exchange, list[Delivery]]] = []
        self._unshown: list[Exchange] = []

    async def look(self) -> None:
        """Find the replies whose last word was never shown. Without the store there is nothing to find them by."""
        try:
            async with self._chat.service.store.session() as session:
                self._left = await exchanges.undelivered(session, places.SOURCE)
                since = time.time() - LOOKED_FOR_S
                self._unshown = await exchanges.unshown(session, places.SOURCE, since=since)
        except PersonasError as error:
            logger.warning("What an earlier run left on Discord cannot be looked up: %s", error)

    async def tidy(self) -> None:
        """Turn each of them into a sentence, with the buttons of a reply that has ended."""
        for exchange in self._unshown:
            try:
                await self._find(exchange)
            except (PersonasError, WayLost) as error:
                logger.info("Whether reply %s of an earlier run is shown cannot be found out: %r", exchange.id, error)
        for exchange, pages in self._left:
            try:
                await self._tidy_one(exchange, sorted(pages, key=lambda page: page.position))
            except PersonasError as error:
                logger.info("What an earlier run left of reply %s stays: %s", exchange.id, error)
        if self._left:
            logger.info("Replies that an earlier run left on Discord: %d, now told to be cut off", len(self._left))

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
                async with self._chat.service.store.session() as session:
                    await exchanges.add_delivery(session, exchange.id, key, is_final=False)
                    self._left.append((exchange, await exchanges.deliveries_of(session, exchange.id)))
                return

    async def _tidy_one(self, exchange: Exchange, pages: list[Delivery]) -> None:
        for page in pages[1:]:
            await self._remove(page)
        row = self._chat.bot.row
        view = None if row is None else await row(exchange.id, False)
        try:
            await attempt(lambda: self._write(pages[0], exchange.error or CUT_OFF, view))
        except (ScreenGone, ScreenRefused, WayLost) as error:
            logger.info("Reply %s of an earlier run cannot be edited any more: %r", exchange.id, error)
        async with self._chat.service.store.session() as session:
            await exchanges.finish_deliveries(session, exchange.id)

    async def _write(self, page: Delivery, sentence: str, view: discord.ui.View | None) -> None:
        channel_id, message_id = places.split_key(page.message_id)
        if page.token is not None:
            try:
                by_token = self._by_token(page.token)
                shown = cast(int, "@original") if page.position == NOT_POSTED else message_id
                written = await by_token.edit_message(shown, content=sentence, view=view, allowed_mentions=PINGS_NOBODY)
                await self._note(page, written.id)
                return
            except discord.HTTPException as error:  # after 15 minutes the token is worth nothing
                logger.debug("The token of %s is over: %s", page.message_id, error)
        channel = self._chat.bot.get_partial_messageable(channel_id)
        message = await channel.fetch_message(message_id)
        if message.webhook_id is None:
            await message.edit(content=sentence, view=view, allowed_mentions=PINGS_NOBODY)
            return
        webhook = await self._chat.bot.fetch_webhook(message.webhook_id)
        thread = discord.utils.MISSING if webhook.channel_id == channel_id else discord.Object(channel_id)
        await webhook.edit_message(
            message_id, content=sentence, view=view, allowed_mentions=PINGS_NOBODY, thread=thread
        )

    async def _note(self, page: Delivery, message_id: int) -> None:
        """Note the message that shows a page, in place of what stood for it."""
        key = places.message_key(places.split_key(page.message_id)[0], message_id)
        async with self._chat.service.store.session() as session:
            await exchanges.remove_delivery(session, places.SOURCE, page.message_id)
            await exchanges.add_delivery(session, page.exchange_id, key)

    async def _remove(self, page: Delivery) -> None:
        """Take a further page away, once it shows nothing any more: its deletion is none of a person's."""
        async with self._chat.service.store.session() as session:
            await exchanges.remove_delivery(session, places.SOURCE, page.message_id)
        channel_id, message_id = places.split_key(page.message_id)
        channel = self._chat.bot.get_partial_messageable(channel_id)
        try:
            await attempt(lambda: channel.get_partial_message(message_id).delete())
        except (ScreenGone, ScreenRefused) as error:
            logger.info("A page of an earlier run stays: %s", error)

    def _by_token(self, token: str) -> discord.Webhook:
        application_id = cast(int, self._chat.bot.application_id)  # known since the login
        return discord.Webhook.partial(application_id, token, client=self._chat.bot)


def _names(message: discord.Message, exchange_id: str) -> bool:
    """Whether a button of this message is one of this exchange."""
    buttons = [part for row in message.components if isinstance(row, discord.ActionRow) for part in row.children]
    return any(exchange_id in (button.custom_id or "").split(":") for button in buttons)
