"""`personas feedback`: thumbs by persona and the adapter versions that earned them."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from bot.commands.advice import personas_command
from bot.commands.output import make_console
from bot.service.storage import open_storage
from core.settings import Settings
from core.store import feedback
from core.store.feedback import Tally


def show_feedback(arguments: argparse.Namespace, settings: Settings) -> int:
    tallies = asyncio.run(_tallies(settings))
    console = make_console()
    if arguments.is_json:
        console.print_json(json.dumps([asdict(tally) for tally in tallies]))
        return 0
    if not tallies:
        chat = personas_command("chat")
        console.print(
            f"Nobody has judged a reply yet; the thumbs in the playground and in `{chat}` do that.", markup=False
        )
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("persona or blend", "answered with", "base model", "👍", "👎", "liked"):
        table.add_column(heading, justify="right" if heading in ("👍", "👎", "liked") else "left")
    for tally in tallies:
        table.add_row(
            escape(tally.model),
            escape(_adapters(tally)),
            escape(tally.base_model),
            str(tally.up),
            str(tally.down),
            f"{tally.up / (tally.up + tally.down):.0%}",
        )
    console.print(table)
    return 0


async def _tallies(settings: Settings) -> list[Tally]:
    async with open_storage(settings) as storage, storage.store.read() as session:
        return await feedback.tally(session)


def _adapters(tally: Tally) -> str:
    shares = [
        adapter["name"] if adapter["weight"] == 1 else f"{adapter['name']}:{adapter['weight']:g}"
        for adapter in tally.adapters
    ]
    return " + ".join(shares) or "no adapter"
