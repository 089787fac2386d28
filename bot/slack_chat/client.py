"""The bot on Slack: logs in, stays connected over Socket Mode, and leaves in good order. Knows no messages."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from bot.chat.access import AccessLimits
from bot.chat.live_platform import LivePlatform
from bot.chat.mending import keep_up
from bot.service.service import Service
from bot.slack_chat import login
from bot.slack_chat.calls import OUTAGES, code_of
from bot.slack_chat.connection import CAPABILITIES
from bot.slack_chat.names import check_names
from bot.slack_chat.parts import make_parts
from bot.slack_chat.routes import attach
from core.settings import Settings

UNREACHABLE = "Slack cannot be reached at %s (%s); it is tried again until it answers, and everything else goes on."
FIRST_DELAY_S, MAX_DELAY_S = 1.0, 60.0

logger = logging.getLogger(__name__)


class SlackChat(LivePlatform):
    """Implements `bot.chat.platform.ChatPlatform`."""

    capabilities = CAPABILITIES

    def __init__(self, service: Service, settings: Settings, *, limits: AccessLimits | None = None) -> None:
        self.parts = make_parts(service, settings, limits or AccessLimits())
        super().__init__(settings, self.parts.chat.replies)

    async def _stay_connected(self) -> None:
        login.check_tokens(self._settings)
        check_names(self._settings)
        connection, delay_s = self.parts.connection, FIRST_DELAY_S
        async with aiohttp.ClientSession() as session:
            connection.client.session = session
            while True:
                try:
                    connection.own = await login.own_ids(connection.client)
                    address = await login.open_socket(connection.client, self._app_token)
                    break
                except OUTAGES as error:
                    level = logging.WARNING if delay_s == FIRST_DELAY_S else logging.DEBUG
                    logger.log(level, UNREACHABLE, self._settings.slack_api_url, code_of(error))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, MAX_DELAY_S)
            await self._serve(address)

    async def _catch_up(self) -> None:
        await self.parts.changes.catch_up()
        await self.parts.reactions.read_all()

    @property
    def _app_token(self) -> str:
        token = self._settings.slack_app_token
        return "" if token is None else token.get_secret_value()

    async def _serve(self, address: str) -> None:
        """What must be in place when the first event comes, then the socket, which slack_sdk keeps open."""
        client, needs_catch_up = self.parts.connection.client, self.parts.needs_catch_up
        await self.parts.mending.look()
        needs_catch_up.set()  # people may have judged and deleted while the program did not run
        app: Any = AsyncApp(client=client)
        attach(app, self.parts)
        handler: Any = AsyncSocketModeHandler(app, self._app_token, web_client=client)
        handler.client.wss_uri = address
        upkeep = [
            self._start(self.parts.mending.keep_mending()),
            self._start(keep_up(needs_catch_up, self._catch_up, CAPABILITIES.name)),
        ]
        try:
            await handler.connect_async()
            self.is_ready.set()
            await asyncio.Event().wait()
        finally:
            for task in upkeep:
                task.cancel()
            await handler.close_async()
            await asyncio.gather(*upkeep, return_exceptions=True)
