"""`personas retrain`: the learning loop for one persona, with progress; prints the report as sentences or as JSON.

Here, and nowhere else, the loop gets its real parts: export, training and measuring.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bot.commands.output import make_console, user_name
from bot.commands.stop_signals import stop_by_exception
from bot.service.storage import open_storage
from core.errors import InvalidData
from core.personas import Persona, find_persona
from core.settings import Settings, listed
from core.store.db import Store
from training.feedback_export import export_feedback
from training.feedback_policy import FeedbackPolicy, feedback_policy
from training.feedback_set import FeedbackSet
from training.gate_measures import ask_corrections, measure_adapter
from training.learn import learn
from training.progress import ReportProgress, show_progress
from training.resume_check import CannotResume
from training.retrain import look, retrain
from training.retrain_parts import Options, Retraining, Work
from training.retrain_report import RetrainReport
from training.vote_scores import score_votes

REFUSED = 1
MARKS = {True: "met", False: "falls short", None: "not judged"}


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    overrides: dict[str, Any] = {}
    if arguments.min_feedback is not None:
        overrides["min_feedback"] = arguments.min_feedback
    if arguments.no_cool_down:
        overrides["cool_down_s"] = 0
    errors = make_console(is_error=True)
    with stop_by_exception():
        persona = asyncio.run(_find(arguments.persona, settings))
        with show_progress(errors) as progress:
            task = retraining(
                persona,
                settings,
                overrides,
                by=user_name(),
                progress=progress,
                tell=lambda sentence: errors.print(sentence, markup=False, soft_wrap=True),
                is_forced=arguments.force,
            )
            report = look(task) if arguments.dry_run else retrain(task)
    console = make_console()
    if arguments.is_json:
        console.print_json(json.dumps(report.to_dict()))
    else:
        show_report(console, report)
    return REFUSED if report.is_refused else 0


def retraining(
    persona: Persona,
    settings: Settings,
    overrides: Mapping[str, Any],
    *,
    by: str,
    progress: ReportProgress,
    tell: Callable[[str], None],
    is_forced: bool = False,
) -> Retraining:
    """The task, with its real parts. Raises InvalidInput for an override that is out of range."""
    policy = policy_of(persona, settings, overrides)
    options = Options(policy.min_feedback, overrides, is_forced, by, time.time())

    async def export(store: Store, moment: float) -> FeedbackSet:
        return await export_feedback(store, persona.slug, settings.base_slug, policy, now=moment)

    work = Work(export, learn, measure_adapter, ask_corrections, score_votes, (CannotResume, InvalidData))
    return Retraining(persona, settings, lambda: open_storage(settings), work, options, progress, tell)


def policy_of(persona: Persona, settings: Settings, overrides: Mapping[str, Any]) -> FeedbackPolicy:
    return feedback_policy(persona.file.feedback, listed(settings.training_sources), **overrides)


def show_report(console: Console, report: RetrainReport) -> None:
    """The report for people."""
    console.print(report.sentence, markup=False, soft_wrap=True)
    counts = report.counts
    if counts["usable"]:
        console.print(
            f"Learned from: {counts['thumbs_up']} 👍 and {counts['thumbs_down']} 👎, {counts['picks']} picks,"
            f" {counts['better_answers']} better answers; {counts['held_out_votes']} of the votes only measured.",
            soft_wrap=True,
        )
    for held in report.held_back:
        release = f"; {held.setting} would release it" if held.setting else ""
        console.print(f"Held back: {held.count} for {held.reason}{release}.", markup=False, soft_wrap=True)
    if report.gate is not None:
        console.print(verdict_table(report.gate["checks"]))
        for reason in report.gate["reasons"]:
            console.print(f"- {reason}", markup=False, soft_wrap=True)
    for move in report.moves:
        console.print(f"{move['alias']}: {move['from'] or 'nobody'} -> {move['to'] or 'nobody'}", markup=False)


def verdict_table(checks: Sequence[Mapping[str, Any]]) -> Table:
    """Every number against its threshold."""
    table = Table(box=None, pad_edge=False)
    for heading in ("measure", "over", "champion", "new version", "asked", ""):
        table.add_column(heading, justify="left" if heading in ("measure", "") else "right")
    for check in checks:
        limit, bound = check["limit"], "≤" if check["is_at_most"] else "≥"
        shown = ("" if value is None else f"{value:.3f}" for value in (check["champion"], check["value"]))
        asked = "" if limit is None else f"{bound} {limit:g}"
        table.add_row(check["text"], str(check["count"] or ""), *shown, asked, MARKS[check["is_met"]])
    return table


async def _find(slug: str, settings: Settings) -> Persona:
    async with open_storage(settings) as storage:
        return find_persona(storage.personas, slug)
