"""How commands print: a console that suits the terminal or the pipe, and the phrases they share."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from bot.chat.findings import Finding, Level
from bot.commands.advice import train_command
from core.adapters.registry import RegisteredAdapter
from core.text_check import without_controls

COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
PIPE_WIDTH = 200  # columns; a program that reads a table wants no folded cells


class PlainConsole(Console):
    """Shows every word as it was written: none steers the terminal, and ":fire:" is no picture.

    A persona's prompt, an adapter's lineage and what people said come from anybody.
    """

    def __init__(self, *, is_error: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=is_error, width=width, highlight=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            is_ours = segment.control is not None  # as a progress bar moves the cursor
            yield segment if is_ours else Segment(without_controls(segment.text), segment.style)


def make_console(*, is_error: bool = False) -> Console:
    stream = sys.stderr if is_error else sys.stdout
    return PlainConsole(is_error=is_error, width=None if stream.isatty() else PIPE_WIDTH)


def adapter_text(slug: str, champion: RegisteredAdapter | None, base_model: str) -> str:
    """What answers for a persona, or how to get it an adapter."""
    return f"system prompt only: {train_command(slug, base_model)}" if champion is None else champion.ref.name


def moment(unix_s: float) -> str:
    """A time of day in the user's own zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))


def user_name() -> str:
    """Who is at the keyboard: as the system knows them, not the environment, where it can be asked.

    A container may run as a user without a name.
    """
    try:
        import pwd  # Windows has none
    except ImportError:
        return _name_in_environment()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _name_in_environment() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # which of them, depends on Python's version
        return "somebody"


def print_finding(console: Console, finding: Finding) -> None:
    level = f"[{COLOURS[finding.level]}]{finding.level:<4}[/]"
    console.print(f"{level} {finding.subject:<10} {escape(finding.text)}", soft_wrap=True)
