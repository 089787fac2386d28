"""The bot on Discord: builds its parts, logs in, stays connected, and leaves in good order. Knows no messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

import aiohttp
import discord
import yarl
from discord.backoff import ExponentialBackoff
from discord.ext import commands as prefix_commands
from discord.gateway import DiscordWebSocket

from bot.chat.access import Access, AccessLimits
from bot.discord_chat import commands, views
from bot.discord_chat.catch_up import CatchUp
from bot.discord_chat.changes import Changes
from bot.discord_chat.context import Context
from bot.discord_chat.hearing import Hearing
from bot.discord_chat.identity import Identities
from bot.discord_chat.reactions import Reactions
from bot.discord_chat.recovery import Recovery
from bot.discord_chat.screens import PINGS_NOBODY
from bot.discord_chat.talking import Row, Talking
from bot.service.service import Service
from core.errors import InvalidSetting, PersonasError
from core.settings import Settings

AUTHENTICATION_FAILED = 4004
MISSING = (
    "PERSONAS_DISCORD_TOKEN is not set; copy the bot's token from Discord's developer portal, see docs/discord.md."
)
REFUSED = (
    "Discord does not accept PERSONAS_DISCORD_TOKEN; copy the bot's token anew from the page Bot in Discord's developer"
    " portal, see docs/discord.md."
)
UNREACHABLE = "Discord cannot be reached at %s (%s); it is tried again until it answers, and everything else goes on."
OUTAGES = (aiohttp.ClientError, OSError, TimeoutError, discord.GatewayNotFound, discord.HTTPException)

logger = logging.getLogger(__name__)


class DiscordRefused(PersonasError):
    """Discord closed the connection for good, for a reason that waiting does not change."""


class PersonaBot(prefix_commands.AutoShardedBot):
    """The connection of one chat. `row` makes the buttons under a reply; the views set it."""

    def __init__(self, chat: DiscordChat, *, has_message_content: bool) -> None:
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
        self.chat = chat
        self.row: Row | None = None

    async def setup_hook(self) -> None:
        """After the login, before the gateway: what must be in place when the first event comes."""
        self.shard_count, url, _ = await self.http.get_bot_gateway()
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(url)  # where discord.py goes when a session cannot be resumed
        await commands.add_to(self)
        await views.add_to(self)
        await self.chat.before_events()

    async def on_ready(self) -> None:
        self.chat.is_ready.set()

    async def on_message(self, message: discord.Message) -> None:
        """In place of discord.py's prefix commands: text from a person is never a command."""
        await self.chat.hearing.hear(message)

    async def on_thread_remove(self, thread: discord.Thread) -> None:
        """Somebody took the bot out of a thread. discord.py goes on as if it were a member."""
        thread.me = None

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """The boundary of every event: a mistake in one leaves the others alone."""
        logger.exception("The Discord event %s failed", event_method)


class DiscordChat:
    """Everything that happens on Discord. `run` it as a task, and `close` it before the service stops.

    `is_behind` is set when something may have happened that was not taken in, until `CatchUp` takes it in.
    """

    def __init__(self, service: Service, settings: Settings, *, limits: AccessLimits | None = None) -> None:
        self.service = service
        self.settings = settings
        self.access = Access(limits or AccessLimits())
        self.is_ready = asyncio.Event()
        self.is_behind = asyncio.Event()
        self._may_read_all: bool | None = None  # unknown before the first login
        self._live: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = asyncio.Event()
        self._upkeep: list[asyncio.Task[None]] = []
        self.bot = PersonaBot(self, has_message_content=False)
        self.context = Context(self)
        self.identities = Identities(self)
        self.talking = Talking(service, self.access, self.context)
        self.hearing = Hearing(self)

    @property
    def has_message_content(self) -> bool:
        """Whether the bot reads every message, not only those that mention it."""
        return self.bot.intents.message_content

    @property
    def own_id(self) -> int:
        """The bot's user id, known since the login."""
        return cast(discord.ClientUser, self.bot.user).id

    async def run(self) -> None:
        """Stay connected until `close`. Raises InvalidSetting for a bad token, and DiscordRefused.

        An outage of Discord or the network is waited out, and a dropped connection resumed.
        """
        if self.settings.discord_token is None:
            raise InvalidSetting(MISSING)
        discord.http.Route.BASE = self.settings.discord_api_url
        self._live = asyncio.create_task(self._stay_connected(self.settings.discord_token.get_secret_value()))
        try:
            await self._live
        except asyncio.CancelledError:
            if not self._is_closing.is_set():
                raise

    async def close(self) -> None:
        """Let running replies end within the drain time, tell who asks meanwhile, and leave; cancelled, at once."""
        try:
            await self.talking.drain(self.settings.drain_timeout_s)
        finally:
            self._is_closing.set()
            for task in (self._live, *self._tasks):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError, PersonasError):
                        await task

    async def before_events(self) -> None:
        """Called when the bot has logged in and hears nothing yet."""
        changes, reactions, recovery = Changes(self), Reactions(self), Recovery(self)
        catch_up = CatchUp(self, changes, reactions)
        for hearer in (changes, reactions, catch_up):
            hearer.listen()
        await recovery.look()
        self._upkeep = [self._start(recovery.keep_mending()), self._start(catch_up.keep_up())]

    async def _stay_connected(self, token: str) -> None:
        backoff = ExponentialBackoff()
        level = logging.WARNING  # an outage is told once, not at every try
        while True:
            try:
                if self._may_read_all is None:
                    self._may_read_all = await _may_read_all(token)
                # A connection can be used once, and its intents are fixed.
                self.bot = PersonaBot(self, has_message_content=self._may_read_all)
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
                logger.log(level, UNREACHABLE, self.settings.discord_api_url, error)
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

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _may_read_all(token: str) -> bool:
    """Whether the application was given the Message Content intent; asking for it without ends the connection."""
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(token)
        flags = client.application.flags if client.application is not None else discord.ApplicationFlags()
    return flags.gateway_message_content or flags.gateway_message_content_limited


def _described(may_read_all: bool) -> str:
    if may_read_all:
        return "with the Message Content intent; threads and free-talk channels need no mention"
    return "without the Message Content intent; answers mentions, replies and direct messages"
