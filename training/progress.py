"""Tells how far long work has come, through one callback; draws it as a bar in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """`done` of `total` units of one stage; `note` is a short figure such as "loss 2.31"."""

    stage: str
    done: int
    total: int
    note: str = ""


ReportProgress = Callable[[ProgressUpdate], None]


def ignore_progress(update: ProgressUpdate) -> None:
    """For callers that show nothing."""


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[ReportProgress]:
    """Draw one bar per stage on stderr while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    stages: dict[str, TaskID] = {}
    with Progress(*columns, console=console or Console(stderr=True)) as bars:

        def report(update: ProgressUpdate) -> None:
            if update.stage not in stages:
                stages[update.stage] = bars.add_task(update.stage, total=update.total, note="")
            bars.update(stages[update.stage], completed=update.done, total=update.total, note=update.note)

        yield report
