"""The bot on Discord: logs in, stays connected, and leaves in good order. Knows no messages."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import discord
from discord.backoff import ExponentialBackoff

from bot.chat.access import AccessLimits
from bot.chat.live_platform import LivePlatform
from bot.discord_chat.bot import PersonaBot
from bot.discord_chat.commands import tree
from bot.discord_chat.connection import CAPABILITIES
from bot.discord_chat.login import MISSING, REFUSED, may_read_all
from bot.discord_chat.names import check_names
from bot.discord_chat.parts import make_parts
from bot.discord_chat.presses import Press, on_interaction
from bot.service.service import Service
from core.errors import InvalidSetting, PersonasError
from core.settings import Settings

AUTHENTICATION_FAILED = 4004
UNREACHABLE = "Discord cannot be reached at %s (%s); it is tried again until it answers, and everything else goes on."
OUTAGES = (aiohttp.ClientError, OSError, TimeoutError, discord.GatewayNotFound, discord.HTTPException)

logger = logging.getLogger(__name__)


class DiscordRefused(PersonasError):
    """Discord closed the connection for good, for a reason that waiting does not change."""


class DiscordChat(LivePlatform):
    """Implements `bot.chat.platform.ChatPlatform`."""

    capabilities = CAPABILITIES

    def __init__(self, service: Service, settings: Settings, *, limits: AccessLimits | None = None) -> None:
        self.parts = make_parts(service, settings, limits or AccessLimits())
        super().__init__(settings, self.parts.chat.replies)
        self._may_read_all: bool | None = None  # unknown before the first login
        self._upkeep: list[asyncio.Task[None]] = []
        self.bot = self._make_bot(has_message_content=False)

    def _make_bot(self, *, has_message_content: bool) -> PersonaBot:
        """A connection can be used once, and its intents are fixed."""
        bot = PersonaBot(self.parts, self._set_up, has_message_content=has_message_content)
        self.parts.connection.client = bot
        return bot

    async def _set_up(self, bot: PersonaBot) -> None:
        """What must be in place when the first event comes: the bot has logged in and hears nothing yet."""
        parts = self.parts
        await tree.add_to(bot)
        bot.add_dynamic_items(Press)
        bot.add_listener(on_interaction)
        bot.add_listener(self._on_ready, "on_ready")
        for hearer in (parts.changes, parts.removals, parts.reactions, parts.catch_up):
            hearer.listen(bot)
        await parts.mending.look()
        self._upkeep = [self._start(parts.mending.keep_mending()), self._start(parts.catch_up.keep_up())]

    async def _on_ready(self) -> None:
        self.is_ready.set()

    async def _stay_connected(self) -> None:
        """Raises InvalidSetting and DiscordRefused."""
        if self._settings.discord_token is None:
            raise InvalidSetting(MISSING)
        token = self._settings.discord_token.get_secret_value()
        check_names(self._settings)
        discord.http.Route.BASE = self._settings.discord_api_url
        backoff = ExponentialBackoff()
        level = logging.WARNING  # an outage is told once, not at every try
        while True:
            try:
                if self._may_read_all is None:
                    self._may_read_all = await may_read_all(token)
                self.bot = self._make_bot(has_message_content=self._may_read_all)
                logger.info("Discord: %s", _described(self._may_read_all))
                async with self.bot:
                    await self._stay_logged_in(token)
                return
            except discord.PrivilegedIntentsRequired:
                self._may_read_all = False
            except discord.LoginFailure as error:
                raise InvalidSetting(REFUSED) from error
            except discord.ConnectionClosed as error:
                if error.code == AUTHENTICATION_FAILED:
                    raise InvalidSetting(REFUSED) from error
                sentence = f"Discord closed the connection (code {error.code}); see docs/discord.md."
                raise DiscordRefused(sentence) from error
            except OUTAGES as error:
                delay_s = backoff.delay()
                logger.log(level, UNREACHABLE, self._settings.discord_api_url, error)
                level = logging.DEBUG
                await asyncio.sleep(delay_s)
            except Exception:  # the loop's boundary: one unreadable event does not end the bot
                logger.exception("The connection to Discord broke; it is opened again")
                await asyncio.sleep(backoff.delay())

    async def _stay_logged_in(self, token: str) -> None:
        try:
            await self.bot.start(token)
        finally:
            for task in self._upkeep:
                task.cancel()  # the next connection does what this one leaves


def _described(may_read_all: bool) -> str:
    if may_read_all:
        return "with the Message Content intent; threads and free-talk channels need no mention"
    return "without the Message Content intent; answers mentions, replies and direct messages"
