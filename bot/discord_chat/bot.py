"""One connection to Discord: which events it hears, and whom it hands them to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import discord
import yarl
from discord.ext import commands as prefix_commands
from discord.gateway import DiscordWebSocket

from bot.discord_chat.parts import Parts
from bot.discord_chat.screens import PINGS_NOBODY

logger = logging.getLogger(__name__)


class PersonaBot(prefix_commands.AutoShardedBot):
    """`parts` are for the handlers of interactions. `set_up` is called after the login, before the first event."""

    def __init__(
        self, parts: Parts, set_up: Callable[[PersonaBot], Awaitable[None]], *, has_message_content: bool
    ) -> None:
        intents = discord.Intents(
            guilds=True, messages=True, reactions=True, webhooks=True, message_content=has_message_content
        )
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # this bot has no voice
        super().__init__(
            command_prefix=prefix_commands.when_mentioned,
            help_command=None,
            intents=intents,
            allowed_mentions=PINGS_NOBODY,
            chunk_guilds_at_startup=False,
        )
        self.parts = parts
        self._set_up = set_up

    async def setup_hook(self) -> None:
        self.shard_count, url, _ = await self.http.get_bot_gateway()
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(url)  # where discord.py goes when a session cannot be resumed
        await self._set_up(self)

    async def on_message(self, message: discord.Message) -> None:
        """In place of discord.py's prefix commands: text from a person is never a command."""
        await self.parts.listener.hear(message)

    async def on_thread_remove(self, thread: discord.Thread) -> None:
        """Somebody took the bot out of a thread. discord.py goes on as if it were a member."""
        thread.me = None

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """The boundary of every event: a mistake in one leaves the others alone."""
        logger.exception("The Discord event %s failed", event_method)
