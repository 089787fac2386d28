"""`personas chat`: a service of one's own, in this process and without a server, and a conversation with it."""

from __future__ import annotations

import argparse
import sys
from contextlib import aclosing, nullcontext

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


def chat(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when every line was answered, else 1, so that a script can tell."""
    if sys.stdin is None:  # before the model is loaded
        raise InvalidInput(
            "There is nothing to read from: the standard input is closed; leave it open, or give a file."
        )
    configure_logging(settings.log_level, is_quiet=True, secrets=settings.secrets)
    return run_service(_chat(arguments.model, settings))


async def _chat(spec: str | None, settings: Settings) -> int:
    console, errors = make_console(), make_console(is_error=True)
    service = await Service.open(settings, sources=CHAT_SOURCES)
    try:
        conversation = TerminalChat(service, console, errors, spec=spec or service.default_persona, user=user_name())
        loading = f"Loading {escape(settings.base_model)} ..."
        with errors.status(loading) if errors.is_terminal else nullcontext():
            await service.start()
        await _converse(conversation, is_terminal=sys.stdin.isatty() and console.is_terminal)
    finally:
        service.hurry()
        await service.stop()
    return 1 if conversation.failures else 0


async def _converse(conversation: TerminalChat, *, is_terminal: bool) -> None:
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
