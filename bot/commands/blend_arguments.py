"""What can be typed after `personas blend`, `merge` and `export`. Runs nothing, and imports no PEFT."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from bot.commands.argument_parts import Parser, add_base, add_command, add_persona, count, version

# training.blend_recipe has the same; its package is not installed everywhere, and a test compares them.
METHODS = ("cat", "svd", "linear", "ties", "ties_svd", "dare_linear", "dare_linear_svd", "dare_ties", "dare_ties_svd")


def add_blending(commands: Any) -> None:
    """The commands that make something else of adapters."""
    _add_blend(commands)
    merge = add_command(
        commands,
        "merge",
        "merge:merge",
        "write base model and adapter as one model, for programs that know no adapters",
        "personas merge zen merged/zen",
        "personas merge zen merged/zen --version 2 --dtype float32",
    )
    add_persona(merge)
    merge.add_argument("out", type=Path, metavar="OUT", help="the model's folder, new or empty")
    _add_version(merge)
    merge.add_argument(
        "--dtype", choices=("auto", "bfloat16", "float16", "float32"), default="auto", help="auto: the base model's own"
    )
    add_base(merge)
    export = add_command(
        commands,
        "export",
        "export:export",
        "write an adapter as a file for another program",
        "personas export zen --gguf",
        "personas export zen --gguf zen.gguf --version 2",
    )
    add_persona(export)
    export.add_argument(
        "--gguf",
        nargs="?",
        type=Path,
        const=None,
        default=argparse.SUPPRESS,
        metavar="OUT",
        help="for llama.cpp's --lora: a new file, in this folder if none is named",
    )
    _add_version(export)
    add_base(export)


def _add_blend(commands: Any) -> None:
    blend = add_command(
        commands,
        "blend",
        "blend:run",
        "save a blend of personas as a persona of its own, and put it before its gate",
        "personas blend zenbeard --from codebeard:0.7 zen:0.3",
        "personas blend zenbeard --from codebeard zen:0.5 --method ties --density 0.4",
        "personas blend trio --from codebeard:0.5 zen:0.5 noir:0.2 --method svd --rank 16",
    )
    blend.add_argument("slug", metavar="NEW", help="the new persona's short name")
    blend.add_argument(
        "--from", dest="parts", nargs="+", required=True, metavar="PERSONA:WEIGHT", help="who is blended, and how much"
    )
    blend.add_argument("--name", help="what it is called")
    blend.add_argument("--description", metavar="TEXT", help="one line on it")
    blend.add_argument(
        "--method", choices=METHODS, default="cat", help="cat (the default) and svd at full rank are exact"
    )
    blend.add_argument("--rank", type=count, metavar="N", help="the blend's r, for methods with svd")
    blend.add_argument("--density", type=_share, metavar="SHARE", help="weights that ties and dare keep (0.5)")
    blend.add_argument(
        "--majority-sign",
        choices=("total", "frequency"),
        default="total",
        help="whether ties elects signs by size or by number",
    )
    blend.add_argument("--seed", type=count, metavar="N", help="decides which weights dare drops")
    blend.add_argument("--no-evaluation", action="store_true", help="do not measure and judge it now")
    blend.add_argument("--force", action="store_true", help="promote even what fails its gate; this is recorded")
    add_base(blend)


def _add_version(parser: Parser) -> None:
    parser.add_argument("--version", type=version, metavar="N", help="which version (the one that answers now)")


def _share(text: str) -> float:
    """A share above 0 and up to 1. Raises argparse.ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'"{text[:40]}" is no share; give a number above 0 and up to 1')
    return value
