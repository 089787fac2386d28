"""`personas rollout`: where a persona's new version stands on its way to people, and how to hold or end it."""

from __future__ import annotations

import argparse
import asyncio
import json

from rich.markup import escape
from rich.table import Table

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
    by, where = user_name(), (storage.store, slug, storage.settings.base_slug)
    why = f": {arguments.reason}" if arguments.reason else "."
    if arguments.action == "abort":
        await rollout_moves.abort(*where, by=by, reason=f"{by} aborted the rollout{why}")
    elif arguments.action is not None:
        is_paused = arguments.action == "pause"
        done = "paused the rollout" if is_paused else "let the rollout go on"
        await rollout_moves.set_paused(*where, is_paused, by=by, reason=f"{by} {done}{why}")


def _table(standing: RolloutStanding) -> Table:
    """Both versions side by side."""
    shadow, evidence = standing.shadow, standing.evidence
    table = Table(box=None, pad_edge=False, show_header=True)
    names = [f"{standing.persona}@{version}" for version in (standing.champion, standing.challenger)]
    for heading in ("", *names):
        table.add_column(heading, justify="left" if not heading else "right")
    if shadow.replies:
        table.add_row("words a reply, unseen", f"{shadow.champion_words:.0f}", f"{shadow.words:.0f}")
        table.add_row("flawed", f"{shadow.champion_flawed:.0%}", f"{shadow.flawed:.0%}")
        table.add_row("voice", f"{shadow.champion_voice:.3f}", f"{shadow.voice:.3f}")
        table.add_row("failed", "", f"{shadow.failed} of {shadow.replies}")
    if standing.canary_at is not None:
        table.add_row("👍 · 👎", *(f"{up} · {down}" for up, down in (evidence.champion, evidence.challenger)))
        table.add_row("conversations with a failure", str(standing.failures[1]), str(standing.failures[0]))
        needed = f"of {standing.settings.evidence:g} needed"
        table.add_row(f"evidence that it is better, {needed}", "", f"{evidence.better:.2g}")
        table.add_row(f"evidence that it is worse, {needed}", "", f"{evidence.worse:.2g}")
    table.add_row("began", "", moment(standing.started_at))
    table.caption = None if not standing.is_running else escape(f"Last event: {standing.reason}")
    return table
