"""`personas merge`: base model and adapter as one model in a folder of its own."""

from __future__ import annotations

import argparse
import asyncio

from bot.commands.chosen_version import find_version
from bot.commands.output import make_console
from bot.commands.stop_signals import stop_by_exception
from core.settings import Settings
from training.merging import merge_adapter
from training.new_output import check_free


def merge(arguments: argparse.Namespace, settings: Settings) -> int:
    out = arguments.out.expanduser()
    check_free(out)
    persona, version = asyncio.run(find_version(arguments.persona, arguments.version, settings))
    with stop_by_exception():
        dtype = merge_adapter(settings, version, out, arguments.dtype)
    lines = [f"{version.ref.name} and {settings.base_model} are one model in {out}, in {str(dtype).split('.')[-1]}."]
    if settings.quantization in ("nf4", "int8"):
        lines.append(f"It was made of the base model as it is, not of its {settings.quantization} weights.")
    lines.append(f"Its system prompt is not in the weights: {persona.folder / 'system_prompt.md'}")
    for line in lines:
        make_console().print(line, markup=False, soft_wrap=True)
    return 0
