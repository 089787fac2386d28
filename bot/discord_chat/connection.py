"""The connection of the moment. Whatever needs Discord asks for it at each use: a new connection is a new client."""

from __future__ import annotations

from typing import cast

import discord

from bot.chat.platform import Capabilities
from bot.discord_chat.names import SOURCE

CAPABILITIES = Capabilities(
    source=SOURCE,
    name="Discord",
    max_chars=2000,
    edits=4,  # Discord lets a channel's messages be edited about five times in five seconds
    edits_window_s=5.0,
    small_print="-# {}",
    identities=("message", "webhook", "profile"),
    has_private_replies=True,
)


class Connection:
    """Holds the client, which is set before anything uses it, and again at each new connection."""

    client: discord.Client

    @property
    def own_id(self) -> int:
        """The bot's user id, known since the login."""
        return cast(discord.ClientUser, self.client.user).id

    @property
    def has_message_content(self) -> bool:
        """Whether the bot reads every message, not only those that mention it."""
        return self.client.intents.message_content
