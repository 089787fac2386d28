"""`personas serve` on Discord: joins beside the web side, says so, and leaves in good order. Imports no discord."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.console import Console

from bot.chat.access import AccessLimits
from bot.commands.advice import install_command
from bot.service.service import Service
from core.errors import PersonasError

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

NOT_INSTALLED = (
    "PERSONAS_DISCORD_TOKEN is set, but the package discord.py is missing;"
    f" install it with `{install_command('discord')}`."
)
LAST_WORDS_S = 3.0  # what running replies get to say that they were stopped, when nobody wants to wait

logger = logging.getLogger(__name__)


def is_installed() -> bool:
    try:
        return find_spec("discord") is not None
    except ValueError:  # it was made unimportable
        return False


class DiscordSide:
    """`run` it as a task; whatever goes wrong with Discord ends here as a sentence, and the web side goes on."""

    def __init__(self, service: Service, console: Console) -> None:
        self._service = service
        self._console = console
        self._chat: DiscordChat | None = None
        self._is_hurried = asyncio.Event()
        self.greeting: str | None = None  # as whom it is there, once it is

    async def run(self) -> None:
        """Stay on Discord until `close`. Returns at once where no token is set."""
        settings = self._service.settings
        if settings.discord_token is None:
            return
        if not is_installed():
            self._say(NOT_INSTALLED)
            return
        from bot.discord_chat.client import DiscordChat  # needs discord.py, and takes a moment

        self._chat = chat = DiscordChat(self._service, settings, limits=AccessLimits.of(settings))
        greeting = asyncio.create_task(self._greet(chat))
        try:
            await chat.run()
        except PersonasError as error:
            self._say(f"Not on Discord: {error}")
        except Exception:  # the boundary of this side: the other one goes on
            logger.exception("Discord ended; everything else goes on")
        finally:
            greeting.cancel()

    async def close(self) -> None:
        """Let running replies end and leave; `hurry` makes it short."""
        if self._chat is None:
            return
        closing = asyncio.create_task(self._chat.close())
        hurrying = asyncio.create_task(self._is_hurried.wait())
        await asyncio.wait({closing, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        await asyncio.wait({closing}, timeout=LAST_WORDS_S)
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing

    def hurry(self) -> None:
        self._is_hurried.set()

    async def _greet(self, chat: DiscordChat) -> None:
        """Say that the bot is there. The banner says it, too, where it comes later."""
        from bot.discord_chat.rights import invite_url

        await chat.is_ready.wait()
        servers = len(chat.bot.guilds)
        where = f"in {servers} server{'' if servers == 1 else 's'}"
        if servers == 0:
            where = f"in no server yet; add it to one: {invite_url(chat.bot.application_id or 0)}"
        self.greeting = f"{chat.bot.user} {where}"
        self._say(f"On Discord as {self.greeting}.")

    def _say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)
