"""`personas serve` on a chat platform: joins beside the web side, says so, and leaves in good order. Imports no SDK."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.util import find_spec
from typing import Generic, TypeVar

from rich.console import Console

from bot.chat.platform import ChatPlatform
from bot.commands.advice import install_command
from bot.service.service import Service
from core.errors import PersonasError

LAST_WORDS_S = 3.0  # what running replies get to say that they were stopped, when nobody wants to wait

Chat = TypeVar("Chat", bound=ChatPlatform)
logger = logging.getLogger(__name__)


def is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # it was made unimportable
        return False


def not_installed(setting: str, package: str, extra: str) -> str:
    return f"{setting} is set, but the package {package} is missing; install it with `{install_command(extra)}`."


class ChatSide(ABC, Generic[Chat]):
    """`run` it as a task; whatever goes wrong with the platform ends here as a sentence, and the web side goes on.

    `name` is what people call the platform, `package` what must be installed for it.
    """

    name: str
    package: str
    not_installed: str

    def __init__(self, service: Service, console: Console) -> None:
        self._service = service
        self._console = console
        self._chat: Chat | None = None
        self._is_hurried = asyncio.Event()
        self.greeting: str | None = None  # as whom it is there, once it is

    @property
    @abstractmethod
    def is_set_up(self) -> bool:
        """Whether a token says that this platform is wanted."""

    @abstractmethod
    def _make_chat(self) -> Chat:
        """Imports the SDK, which takes a moment."""

    @abstractmethod
    async def _greeting_of(self, chat: Chat) -> str:
        """As whom the bot is there, as soon as it is."""

    async def run(self) -> None:
        """Stay until `close`. Returns at once where no token is set."""
        if not self.is_set_up:
            return
        if not is_installed(self.package):
            self._say(self.not_installed)
            return
        self._chat = chat = self._make_chat()
        greeting = asyncio.create_task(self._greet(chat))
        try:
            await chat.run()
        except PersonasError as error:
            self._say(f"Not on {self.name}: {error}")
        except Exception:  # the boundary of this side: the other ones go on
            logger.exception("%s ended; everything else goes on", self.name)
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

    async def _greet(self, chat: Chat) -> None:
        """Say that the bot is there. The banner says it, too, where it comes later."""
        self.greeting = await self._greeting_of(chat)
        self._say(f"On {self.name} as {self.greeting}.")

    def _say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)
