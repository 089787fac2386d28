"""`personas evaluate`: measures an adapter version, and prints a table and the path of the plot, or JSON."""

from __future__ import annotations

import argparse
import asyncio
import json

from bot.commands.chosen_version import find_version
from bot.commands.output import make_console
from bot.commands.stop_signals import stop_by_exception
from core.settings import Settings
from training.eval_report import report_table, save_report
from training.evaluation import evaluate as evaluate_adapter
from training.progress import show_progress


def evaluate(arguments: argparse.Namespace, settings: Settings) -> int:
    persona, adapter = asyncio.run(find_version(arguments.persona, arguments.version, settings))
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
