"""`personas export --gguf`: an adapter as a file for llama.cpp."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from bot.commands.chosen_version import find_version
from bot.commands.output import make_console
from bot.commands.stop_signals import stop_by_exception
from core.errors import InvalidInput
from core.settings import Settings
from training.gguf_adapter import export_gguf
from training.new_output import check_free


def export(arguments: argparse.Namespace, settings: Settings) -> int:
    if not hasattr(arguments, "gguf"):
        raise InvalidInput("Say what to export to; there is --gguf, for llama.cpp.")
    if arguments.gguf is not None:
        check_free(arguments.gguf.expanduser())
    persona, version = asyncio.run(find_version(arguments.persona, arguments.version, settings))
    out = arguments.gguf or Path(f"{persona.slug}-{version.version}-{settings.base_slug}.lora.gguf")
    with stop_by_exception():
        export_gguf(settings, version, out.expanduser())
    for line in (
        f"{version.ref.name} is in {out}; give it to llama.cpp with --lora, beside its own file of the base model.",
        f"Its system prompt is not in it: {persona.folder / 'system_prompt.md'}",
    ):
        make_console().print(line, markup=False, soft_wrap=True)
    return 0
