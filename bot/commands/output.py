"""How commands print: a console that suits the terminal or the pipe, and the phrases they share."""

from __future__ import annotations

import os
import pwd
import sys
import time
from typing import Any

from rich.console import Console

from bot.commands.advice import train_command
from core.adapters.registry import RegisteredAdapter

PIPE_WIDTH = 200  # columns; a program that reads a table wants no folded cells


def make_console(*, is_error: bool = False) -> Console:
    stream = sys.stderr if is_error else sys.stdout
    return Console(stderr=is_error, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def adapter_text(slug: str, champion: RegisteredAdapter | None, base_model: str) -> str:
    """What answers for a persona, or how to get it an adapter."""
    return f"system prompt only: {train_command(slug, base_model)}" if champion is None else champion.ref.name


def evaluation_text(adapter: RegisteredAdapter | None) -> str:
    """The figures that the lineage holds, in a few words; empty when nothing was measured."""
    ratio = _number_in(adapter, "perplexity_ratio")
    rate = _number_in(adapter, "adherence", "adapter_rate")
    parts = ["" if ratio is None else f"perplexity ×{ratio:.2f}", "" if rate is None else f"adherence {rate:.0%}"]
    return ", ".join(filter(None, parts))


def evaluation_of(adapter: RegisteredAdapter | None, *keys: str) -> Any:
    """What the lineage says of the evaluation, or what stands there below `keys`; None where it says nothing."""
    found: Any = None if adapter is None else adapter.lineage
    for key in ("metrics", "evaluation", *keys):
        found = found.get(key) if isinstance(found, dict) else None  # a shipped lineage may hold anything
    return found


def _number_in(adapter: RegisteredAdapter | None, *keys: str) -> float | None:
    number = evaluation_of(adapter, *keys)
    return float(number) if isinstance(number, int | float) else None


def moment(unix_s: float) -> str:
    """A time of day in the user's own zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))


def user_name() -> str:
    """Who is at the keyboard. A container may run as a user without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
