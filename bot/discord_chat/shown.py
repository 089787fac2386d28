"""What the message shows whose button was pressed: which exchange, on which pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bot.discord_chat.places import SOURCE, message_key
from bot.discord_chat.screens import DiscordScreen, InteractionScreen
from core.errors import NotFound
from core.store import exchanges

if TYPE_CHECKING:
    import discord

    from bot.discord_chat.interaction_replies import Interaction
    from core.store.models import Exchange

UNKNOWN = "I do not know this answer any more, so nothing can be done with it; ask me again."


@dataclass(frozen=True, slots=True)
class Shown:
    """`key` is the message with the button, `pages` are all messages that show the exchange."""

    exchange: Exchange
    key: str
    pages: tuple[str, ...]

    def pages_on(self, screen: DiscordScreen) -> tuple[str, ...]:
        """The pages that this screen can change: with nothing but the press's token, it is the one with the button."""
        return (self.key,) if isinstance(screen, InteractionScreen) else self.pages


async def shown_by(interaction: Interaction, exchange_id: str) -> Shown:
    """What the pressed message shows now; `exchange_id`, which its button names, where nothing is noted of it.

    Raises NotFound.
    """
    message = cast("discord.Message", interaction.message)  # a button is always on one
    key = message_key(message.channel.id, message.id)
    async with interaction.client.chat.service.store.read() as session:
        exchange = await exchanges.find_by_delivery(session, SOURCE, key)
        if exchange is not None:
            pages = tuple(page.message_id for page in await exchanges.deliveries_of(session, exchange.id))
            return Shown(exchange, key, pages)
        exchange = await exchanges.find(session, exchange_id)
    if exchange is None:
        raise NotFound(UNKNOWN)
    return Shown(exchange, key, (key,))
