"""How commands print: a console that suits the terminal or the pipe, and the phrases they share."""

from __future__ import annotations

import os
import pwd
import sys
import time
from typing import Any

from rich.console import Console

from core.registry import RegisteredAdapter

PIPE_WIDTH = 200  # columns; a program that reads a table wants no folded cells


def make_console(*, is_error: bool = False) -> Console:
    stream = sys.stderr if is_error else sys.stdout
    return Console(stderr=is_error, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def adapter_text(slug: str, champion: RegisteredAdapter | None) -> str:
    """What answers for a persona, or how to get it an adapter."""
    return f"system prompt only: personas train {slug}" if champion is None else champion.ref.name


def evaluation_text(adapter: RegisteredAdapter | None) -> str:
    """The figures that the lineage holds, in a few words; empty when nothing was measured."""
    evaluation: Any = adapter.lineage.get("metrics", {}).get("evaluation") if adapter is not None else None
    if not isinstance(evaluation, dict) or "perplexity_ratio" not in evaluation:
        return ""
    parts = [f"perplexity ×{evaluation['perplexity_ratio']:.2f}"]
    adherence = evaluation.get("adherence")
    if isinstance(adherence, dict):
        parts.append(f"adherence {adherence['adapter_rate']:.0%}")
    return ", ".join(parts)


def moment(unix_s: float) -> str:
    """A time of day in the user's own zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))


def user_name() -> str:
    """Who is at the keyboard. A container may run as a user without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
