"""What happens to messages later: edited questions are answered again, and what is deleted or left is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import discord
from sqlalchemy.ext.asyncio import AsyncSession

from bot.discord_chat import places
from bot.discord_chat.hearing import is_question
from bot.discord_chat.screens import DiscordScreen
from bot.reply_stream import ScreenGone, ScreenRefused
from core.errors import PersonasError
from core.store import data_rights, exchanges
from core.store import places as place_rows
from core.store.models import Exchange

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

ANSWERED_AGAIN_WITHIN = timedelta(hours=1)  # who mends an older question expects nothing, and Discord limits old edits

logger = logging.getLogger(__name__)


class Changes:
    """`listen` puts it on the chat's bot."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._newest: dict[str, datetime] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def listen(self) -> None:
        add = self._chat.bot.add_listener
        add(self.on_raw_message_edit, "on_raw_message_edit")
        add(self.on_raw_message_delete, "on_raw_message_delete")
        add(self.on_raw_bulk_message_delete, "on_raw_bulk_message_delete")
        add(self.on_raw_thread_delete, "on_raw_thread_delete")
        add(self.on_guild_channel_delete, "on_guild_channel_delete")
        add(self.on_guild_remove, "on_guild_remove")
        add(self.on_webhooks_update, "on_webhooks_update")

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """A person's edit. Discord itself updates messages, too, when it unfolds a link: that is none."""
        message, edited_at = event.message, event.message.edited_at
        if edited_at is None or message.author.bot or message.webhook_id is not None:
            return
        key = places.message_key(message.channel.id, message.id)
        self._chat.context.forget(key)
        if edited_at - message.created_at > ANSWERED_AGAIN_WITHIN or self._newest.get(key) == edited_at:
            return
        self._newest[key] = edited_at
        try:
            await self._chat.talking.stop_answers_to(key)
            async with self._locks[key]:
                if self._newest.get(key) == edited_at:  # else it was edited again meanwhile
                    await self._answer_again(message, key, f"message:{message.id}:edit:{edited_at.isoformat()}")
        except PersonasError as error:
            logger.info("An edited question stays answered as it was: %s", error)
        finally:
            if self._newest.get(key) == edited_at:
                del self._newest[key], self._locks[key]

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self.forget_messages(event.channel_id, (event.message_id,))

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        await self.forget_messages(event.channel_id, event.message_ids)

    async def on_raw_thread_delete(self, event: discord.RawThreadDeleteEvent) -> None:
        guild = self._chat.bot.get_guild(event.guild_id)
        await self.forget_places(places.thread_place(event.thread_id), guild=guild)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        await self.forget_places(places.channel_place(channel.id), guild=channel.guild)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed from a server, or the server is gone; an outage of Discord's is neither."""
        self._chat.identities.forget_profile(guild.id)
        await self.forget_places(*places.places_in(guild))

    async def on_webhooks_update(self, channel: discord.abc.GuildChannel) -> None:
        self._chat.identities.forget_webhooks(channel.id)

    async def _answer_again(self, message: discord.Message, key: str, event_id: str) -> None:
        """Write the answer to an edited question anew, in the messages that show the former one."""
        async with self._chat.service.store.write() as session:
            former = await exchanges.find_by_question(session, places.SOURCE, key)
            # Discord tells of an old edit again when the message is pinned, say.
            is_new = bool(former) and all(exchange.event_id != event_id for exchange in former)
            onto = await self._shown(session, former)
            if is_new:
                await data_rights.forget_question(session, places.SOURCE, key)
        if not is_new:
            return
        place_ids = places.places_of(message.channel)
        is_free_talk = former[-1].conversation_id == places.channel_place(message.channel.id)
        ask = await self._chat.hearing.ask_of(message, place_ids, event_id, is_free_talk=is_free_talk)
        if not is_question(ask.said):
            return
        screen = await self._screen_on(onto, ask.model or "")
        if screen is None:
            onto = ()
            screen = await self._chat.identities.screen(
                message.channel,
                message.channel.id,
                model=ask.model or "",
                identity=ask.identity,
                place_ids=place_ids,
                question=message,
            )
        await self._chat.talking.answer(ask, screen, row=self._chat.bot.row, onto=onto)

    async def _shown(self, session: AsyncSession, former: Sequence[Exchange]) -> tuple[str, ...]:
        """The messages that show an answer to the question now, page by page."""
        shown = await exchanges.deliveries_of(session, *(exchange.id for exchange in former))
        for exchange in reversed(former):
            if pages := [page.message_id for page in shown if page.exchange_id == exchange.id]:
                return tuple(pages)
        return ()

    async def _screen_on(self, keys: Collection[str], model: str) -> DiscordScreen | None:
        """A screen that can change these messages; None where they are gone or out of reach."""
        for key in keys:
            if message := await self._chat.context.fetch(key):
                with suppress(ScreenGone, ScreenRefused):
                    return await self._chat.identities.screen_of(message, model)
        return None

    async def forget_messages(self, channel_id: int, message_ids: Collection[int]) -> None:
        """These messages were deleted."""
        for message_id in message_ids:
            try:
                await self._forget_message(places.message_key(channel_id, message_id))
            except PersonasError as error:
                logger.warning("A deleted message could not be forgotten wholly, which is tried again: %s", error)
                self._chat.is_behind.set()

    async def _forget_message(self, key: str) -> None:
        """A question takes its answers with it; of our own message, what it said goes."""
        self._chat.context.forget(key)
        await self._chat.talking.stop_answers_to(key)
        async with self._chat.service.store.write() as session:
            shown = await exchanges.find_by_delivery(session, places.SOURCE, key)
            answers = await exchanges.find_by_question(session, places.SOURCE, key)
            pages = await exchanges.deliveries_of(session, *(answer.id for answer in answers))
            if shown is None:
                await data_rights.forget_question(session, places.SOURCE, key)
        if shown is not None:
            await self._chat.talking.stop(shown.id)
            await self._chat.talking.ended(shown.id)
            self._chat.context.forget(shown.id)
            async with self._chat.service.store.write() as session:
                await data_rights.forget_delivery(session, places.SOURCE, key)
        for page in pages:
            self._chat.context.forget(page.exchange_id)
            await self._take_away(page.message_id)

    async def _take_away(self, key: str) -> None:
        """Delete one of our messages, which shows nothing from now on."""
        screen = await self._screen_on((key,), "base")
        if screen is None:
            return
        async with self._chat.service.store.write() as session:
            await exchanges.remove_delivery(session, places.SOURCE, key)
        with suppress(ScreenGone, ScreenRefused):  # somebody was faster, or does not let us
            await screen.remove(key)

    async def forget_places(self, *place_ids: str, guild: discord.Guild | None = None) -> None:
        """These places are gone. `guild` is the server that they were in, where the bot is still there."""
        await self._chat.talking.stop_in(place_ids)
        identities = self._chat.identities
        try:
            async with self._chat.service.store.write() as session:
                was_chosen = not (await place_rows.with_identity(session, "profile")).isdisjoint(place_ids)
                lost = await data_rights.forget_places(session, places.SOURCE, place_ids)
                is_worn = was_chosen and guild is not None and await identities.is_profile_chosen(session, guild)
        except PersonasError as error:
            logger.warning("What was said in places that are gone is forgotten later: %s", error)
            self._chat.is_behind.set()
            return
        self._chat.hearing.free_talk.forget()
        logger.info("The bot has left %s: the text of %d exchanges is erased", place_ids[0], lost)
        if guild is not None and was_chosen and not is_worn:
            await identities.take_off(guild)
