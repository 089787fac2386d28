"""Messages, channels and servers that are gone: what was said there is forgotten, and answers go with questions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress

import discord
from discord.ext import commands as prefix_commands

from bot.chat.deliveries import Deliveries
from bot.chat.forgetting import Forgetting
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.discord_chat import names
from bot.discord_chat.connection import Connection
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.profiles import Profiles
from bot.discord_chat.webhooks import Webhooks
from core.errors import PersonasError

logger = logging.getLogger(__name__)


class Removals:
    """`listen` puts it on a bot. `needs_catch_up` is set where something could not be forgotten yet."""

    def __init__(
        self,
        connection: Connection,
        forgetting: Forgetting,
        deliveries: Deliveries,
        history: History,
        identities: Identities,
        webhooks: Webhooks,
        profiles: Profiles,
        needs_catch_up: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._forgetting = forgetting
        self._deliveries = deliveries
        self._history = history
        self._identities = identities
        self._webhooks = webhooks
        self._profiles = profiles
        self._needs_catch_up = needs_catch_up

    def listen(self, bot: prefix_commands.AutoShardedBot) -> None:
        bot.add_listener(self.on_raw_message_delete)
        bot.add_listener(self.on_raw_bulk_message_delete)
        bot.add_listener(self.on_raw_thread_delete)
        bot.add_listener(self.on_guild_channel_delete)
        bot.add_listener(self.on_guild_remove)
        bot.add_listener(self.on_webhooks_update)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self.forget_messages(event.channel_id, (event.message_id,))

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        await self.forget_messages(event.channel_id, event.message_ids)

    async def on_raw_thread_delete(self, event: discord.RawThreadDeleteEvent) -> None:
        guild = self._connection.client.get_guild(event.guild_id)
        await self.forget_places(names.thread_place(event.thread_id), guild=guild)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        await self.forget_places(names.channel_place(channel.id), guild=channel.guild)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed from a server, or the server is gone; an outage of Discord's is neither."""
        self._profiles.forget(guild.id)
        await self.forget_places(*names.places_in(guild))

    async def on_webhooks_update(self, channel: discord.abc.GuildChannel) -> None:
        self._webhooks.forget(channel.id)

    async def forget_messages(self, channel_id: int, message_ids: Collection[int]) -> None:
        """These messages were deleted."""
        for message_id in message_ids:
            try:
                for key in await self._forgetting.message(names.message_key(channel_id, message_id)):
                    await self._take_away(key)
            except PersonasError as error:
                logger.warning("A deleted message could not be forgotten wholly, which is tried again: %s", error)
                self._needs_catch_up.set()

    async def _take_away(self, key: str) -> None:
        """Delete one of our messages, which shows nothing from now on."""
        message = await self._history.fetch(key)
        if message is None:
            return
        with suppress(ScreenGone, ScreenRefused):  # somebody was faster, or does not let us
            screen = await self._identities.screen_of(message, "base")
            await self._deliveries.remove(key)
            await screen.remove(key)

    async def forget_places(self, *place_ids: str, guild: discord.Guild | None = None) -> None:
        """These places are gone. `guild` is the server that they were in, where the bot is still there."""
        try:
            was_chosen = await self._profiles.is_chosen_in(place_ids)
            await self._forgetting.places(*place_ids)
            is_still_chosen = guild is not None and await self._profiles.is_chosen_in(names.places_in(guild))
        except PersonasError as error:
            logger.warning("What was said in places that are gone is forgotten later: %s", error)
            self._needs_catch_up.set()
            return
        if guild is not None and was_chosen and not is_still_chosen:
            await self._profiles.reset(guild)
