"""`personas chat`: a service of one's own, in this process and without a server, and a conversation with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing, nullcontext
from typing import Protocol, TypeAlias

from rich.console import Console
from rich.markup import escape

from bot.commands.logs import configure_logging
from bot.commands.output import make_console, user_name
from bot.commands.running import run_service
from bot.service.service import Service
from bot.service.sources import CHAT_SOURCES
from bot.terminal.chat import TerminalChat
from bot.terminal.line_input import edited_lines, piped_lines
from core.errors import InvalidInput, PersonasError
from core.settings import Settings

NO_INPUT = "There is nothing to read from: the standard input is closed; leave it open, or give a file."


class Conversation(Protocol):
    """What reads a person's lines."""

    failures: int

    def greet(self) -> None: ...

    async def handle(self, line: str) -> bool:
        """Do what a line asks for; False when it says good-bye."""

    def complain(self, error: PersonasError) -> None: ...


Begin: TypeAlias = Callable[[Service, Console, Console], Awaitable[Conversation]]
"""Is given where replies, and errors, are printed."""


def chat(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when every line was answered, else 1, so that a script can tell."""
    if sys.stdin is None:  # before the model is loaded
        raise InvalidInput(NO_INPUT)
    configure_logging(settings.log_level, is_quiet=True, secrets=settings.secrets)

    async def begin(service: Service, console: Console, errors: Console) -> Conversation:
        return TerminalChat(service, console, errors, spec=arguments.model or service.default_persona, user=user_name())

    return run_service(converse(settings, begin))


async def converse(settings: Settings, begin: Begin) -> int:
    """A service of one's own, and the conversation that `begin` makes of it before the model is loaded."""
    console, errors = make_console(), make_console(is_error=True)
    service = await Service.open(settings, sources=CHAT_SOURCES)
    try:
        conversation = await begin(service, console, errors)
        loading = f"Loading {escape(settings.base_model)} ..."
        with errors.status(loading) if errors.is_terminal else nullcontext():
            await service.start()
        await _converse(conversation, is_terminal=sys.stdin.isatty() and console.is_terminal)
    finally:
        service.hurry()
        await service.stop()
    return 1 if conversation.failures else 0


async def _converse(conversation: Conversation, *, is_terminal: bool) -> None:
    async def judge(label: bool) -> None:
        await conversation.handle("+" if label else "-")

    if is_terminal:
        conversation.greet()
    async with aclosing(edited_lines(judge) if is_terminal else piped_lines()) as lines:
        try:
            async for line in lines:
                if not await conversation.handle(line):
                    return
        except PersonasError as error:
            conversation.complain(error)
