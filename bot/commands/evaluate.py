"""`personas evaluate`: measures an adapter version, and prints a table and the path of the plot, or JSON."""

from __future__ import annotations

import argparse
import asyncio
import json

from bot.commands.advice import train_command
from bot.commands.output import make_console
from bot.commands.stop_signals import stop_by_exception
from bot.service.storage import open_storage
from core.adapters.registry import RegisteredAdapter
from core.errors import NotFound
from core.personas import Persona, find_persona
from core.settings import Settings
from training.eval_report import report_table, save_report
from training.evaluation import evaluate as evaluate_adapter
from training.progress import show_progress


def evaluate(arguments: argparse.Namespace, settings: Settings) -> int:
    persona, adapter = asyncio.run(_find(arguments.persona, arguments.version, settings))
    with stop_by_exception(), show_progress(make_console(is_error=True)) as progress:
        report = evaluate_adapter(persona, settings, adapter.folder, progress=progress)
    console = make_console()
    # First: the disk may be full.
    if arguments.is_json:
        console.print_json(json.dumps(report.to_dict()))
    else:
        console.print(report_table(report))
    folder = save_report(report, settings)
    if not arguments.is_json:
        console.print(f"Plot: {folder / 'report.png'}", soft_wrap=True)
    return 0


async def _find(slug: str, version: int | None, settings: Settings) -> tuple[Persona, RegisteredAdapter]:
    async with open_storage(settings) as storage, storage.store.read() as session:
        persona = find_persona(storage.personas, slug)
        if version is not None:
            return persona, await storage.registry.get(session, persona.slug, settings.base_slug, version)
        champion = await storage.registry.champion(session, persona.slug, settings.base_slug)
    if champion is None:
        raise NotFound(
            f"{persona.slug} has no adapter that answers on {settings.base_model}; train one with"
            f" `{train_command(persona.slug, settings.base_model)}`, or name one with --version."
        )
    return persona, champion
