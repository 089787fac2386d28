"""What the message shows whose button was pressed: which exchange, on which pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import discord

from bot.chat.buttons import UNKNOWN
from bot.discord_chat.interaction_screen import InteractionScreen
from bot.discord_chat.interactions import Interaction
from bot.discord_chat.names import SOURCE, message_key
from bot.discord_chat.screens import DiscordScreen
from core.errors import NotFound
from core.store import exchanges
from core.store.models import Exchange


@dataclass(frozen=True, slots=True)
class ShownReply:
    """`key` is the message with the button, `pages` are all messages that show the exchange."""

    exchange: Exchange
    key: str
    pages: tuple[str, ...]

    def pages_on(self, screen: DiscordScreen) -> tuple[str, ...]:
        """The pages that this screen can change: with nothing but the press's token, it is the one with the button."""
        return (self.key,) if isinstance(screen, InteractionScreen) else self.pages


async def shown_by(interaction: Interaction, exchange_id: str) -> ShownReply:
    """What the pressed message shows now; `exchange_id`, which its button names, where nothing is noted of it.

    Raises NotFound.
    """
    message = cast("discord.Message", interaction.message)  # a button is always on one
    key = message_key(message.channel.id, message.id)
    async with interaction.client.parts.store.read() as session:
        exchange = await exchanges.find_by_delivery(session, SOURCE, key)
        if exchange is not None:
            pages = tuple(page.message_id for page in await exchanges.deliveries_of(session, exchange.id))
            return ShownReply(exchange, key, pages)
        exchange = await exchanges.find(session, exchange_id)
    if exchange is None:
        raise NotFound(UNKNOWN)
    return ShownReply(exchange, key, (key,))
