"""Who a reply seems to come from: a message with a header, a webhook with the persona's face, or the bot's profile.

What a place chose but the bot may not do falls back to the header, and the channel is told why, once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import discord

from bot.chat.faces import Faces, header
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.chat.responder import PendingReply
from bot.discord_chat.calls import attempt
from bot.discord_chat.channel_screen import ChannelScreen
from bot.discord_chat.history import History
from bot.discord_chat.interaction_screen import InteractionScreen
from bot.discord_chat.names import SOURCE, message_key
from bot.discord_chat.profiles import Profiles
from bot.discord_chat.screens import PINGS_NOBODY, DiscordScreen
from bot.discord_chat.webhook_screen import WebhookScreen
from bot.discord_chat.webhooks import Webhooks
from bot.discord_chat.wording import has_header
from core.errors import PermissionNeeded
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

MAX_REMEMBERED = 4096

logger = logging.getLogger(__name__)


class Identities:
    """Makes the screens of replies."""

    def __init__(
        self,
        store: Store,
        history: History,
        faces: Faces,
        webhooks: Webhooks,
        profiles: Profiles,
        default_persona: str,
    ) -> None:
        self._store = store
        self._history = history
        self._faces = faces
        self._webhooks = webhooks
        self._profiles = profiles
        self._default_persona = default_persona
        self._told: OrderedDict[tuple[int, str], None] = OrderedDict()  # channels and what does not work there

    async def screen(
        self, channel: discord.abc.Messageable, channel_id: int, reply: PendingReply, question: discord.Message
    ) -> DiscordScreen:
        """Where a reply is shown, with the identity that its place chose."""
        identity = reply.choices.settings.identity if question.guild is not None else "message"
        try:
            if identity == "webhook":
                webhook = await self._webhooks.of(channel, reply.model)
                return WebhookScreen(webhook, channel, channel_id, name=self._faces.name(reply.model))
            chosen = reply.choices.widest_model or self._default_persona
            if identity == "profile" and await self._profiles.shows(channel, reply.model, chosen):
                return ChannelScreen(channel, channel_id, question=question)
        except PermissionNeeded as error:
            await self._tell_once(channel, channel_id, identity, str(error))
        return ChannelScreen(channel, channel_id, header=self.header(reply.model), question=question)

    async def screen_on(self, interaction: discord.Interaction[Any], exchange: Exchange, model: str) -> DiscordScreen:
        """The messages that show this exchange, one of whose buttons was pressed, to be rewritten by `model`."""
        message = interaction.message
        if message is None or message.flags.ephemeral or not _is_present(interaction):
            is_ephemeral = message is not None and message.flags.ephemeral
            return InteractionScreen(interaction, header=self.header(model), is_ephemeral=is_ephemeral)
        return await self.screen_of(await self._first_page(exchange) or message, model)

    async def screen_of(self, message: discord.Message, model: str) -> DiscordScreen:
        """A screen that can rewrite a reply of ours that begins here. Raises ScreenGone when its webhook is gone."""
        channel, channel_id = message.channel, message.channel.id
        if message.webhook_id is None:
            title = self.header(model) if await self._has_header(message) else ""
            return ChannelScreen(channel, channel_id, header=title)
        webhook = await self._webhooks.by_id(message.webhook_id)
        return WebhookScreen(webhook, channel, channel_id, name=self._faces.name(model))

    async def _has_header(self, message: discord.Message) -> bool:
        """Whether who speaks stands above the reply that this message shows, as far as that is noted."""
        key = message_key(message.channel.id, message.id)
        await self._store.flush()
        async with self._store.read() as session:
            noted = await exchanges.find_delivery(session, SOURCE, key)
            exchange = await exchanges.find_by_delivery(session, SOURCE, key)
        if noted is None or exchange is None:
            return False
        if noted.head_chars is None:
            return has_header(message.content, self.header(exchange.model))
        return noted.position == 0 and noted.head_chars > 0

    def header(self, model: str) -> str:
        """What stands above a reply where nothing else shows who speaks."""
        return header(self._faces.title(model))

    async def _first_page(self, exchange: Exchange) -> discord.Message | None:
        """The message that has the header, where there is one; None when it cannot be read."""
        async with self._store.read() as session:
            pages = await exchanges.deliveries_of(session, exchange.id)
        return await self._history.fetch(pages[0].message_id) if pages else None

    async def _tell_once(self, channel: discord.abc.Messageable, channel_id: int, identity: str, why: str) -> None:
        """Say why this channel's choice does not work."""
        if (channel_id, identity) in self._told:
            return
        self._told[channel_id, identity] = None
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        try:
            await attempt(lambda: channel.send(f"-# {why}", allowed_mentions=PINGS_NOBODY))
        except (ScreenGone, ScreenRefused) as error:
            logger.info("%s (and it could not be said: %s)", why, error)


def _is_present(interaction: discord.Interaction[Any]) -> bool:
    """Whether the bot itself is where the interaction came from, and not only the app of a person's own account.

    What discord.py has cached does not say: it knows no DM before it wrote there, and no archived thread.
    """
    is_member = interaction.is_guild_integration() and interaction.app_permissions.view_channel
    return is_member or interaction.context.dm_channel
