"""`personas rollout`: where a persona's new version stands on its way to people, and how to hold or end it."""

from __future__ import annotations

import argparse
import asyncio
import json

from rich.markup import escape
from rich.table import Table

from bot.chat.adapter_cards import side_by_side
from bot.commands.output import make_console, moment, user_name
from bot.service.storage import Storage, open_storage
from core.adapters import rollout_moves
from core.adapters.rollout import RolloutStanding, read_standing
from core.personas import find_persona
from core.settings import Settings


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    slug, standing = asyncio.run(_change_and_read(arguments, settings))
    console = make_console()
    if arguments.is_json:
        console.print_json(json.dumps(None if standing is None else standing.to_dict()))
    elif standing is None:
        console.print(f"{slug} has had no rollout on {settings.base_model}.", markup=False, soft_wrap=True)
    else:
        console.print(standing.sentence, markup=False, soft_wrap=True)
        console.print(_table(standing))
    return 0


async def _change_and_read(arguments: argparse.Namespace, settings: Settings) -> tuple[str, RolloutStanding | None]:
    async with open_storage(settings) as storage:
        slug = find_persona(storage.personas, arguments.persona).slug
        await _change(arguments, storage, slug)
        async with storage.store.read() as session:
            return slug, await read_standing(session, slug, settings.base_slug)


async def _change(arguments: argparse.Namespace, storage: Storage, slug: str) -> None:
    if arguments.action is not None:
        where = (storage.store, slug, storage.settings.base_slug)
        await rollout_moves.steer(*where, arguments.action, by=user_name(), why=arguments.reason)


def _table(standing: RolloutStanding) -> Table:
    """Both versions side by side."""
    table = Table(box=None, pad_edge=False, show_header=True)
    names = [f"{standing.persona}@{version}" for version in (standing.champion, standing.challenger)]
    for heading in ("", *names):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in side_by_side(standing):
        table.add_row(*row)
    table.add_row("began", "", moment(standing.started_at))
    table.caption = None if not standing.is_running else escape(f"Last event: {standing.reason}")
    return table
