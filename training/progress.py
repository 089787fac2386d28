"""Tells how far long work has come, through one callback; shows it as a bar in a terminal, else as a line now and then.

Before a stage it says what will be done, and how long that takes as soon as a few steps have been measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

LINE_EVERY_S = 30.0
MEASURED = 2  # steps or rows after which a stage's end can be foreseen
WORTH_TELLING_S = 60.0


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """`done` of `total` units of one stage; `note` is a short figure such as "loss 2.31", or what will be done.

    `share` is how much of the work that is, from 0 to 1, where units differ in size.
    """

    stage: str
    done: int
    total: int
    note: str = ""
    unit: str = "row"
    share: float | None = None


ReportProgress = Callable[[ProgressUpdate], None]


def ignore_progress(update: ProgressUpdate) -> None:
    """For callers that show nothing."""


@contextmanager
def show_progress(
    console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[ReportProgress]:
    """Show progress on stderr while the block runs: bars in a terminal, plain lines elsewhere."""
    console = console or Console(stderr=True)
    if not (console.is_interactive and console.file.isatty()):
        yield _Lines(console, clock).report
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars, clock).report


def duration_text(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 45:
        return "less than a minute"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"about {minutes} {'minute' if minutes == 1 else 'minutes'}"
    return f"about {seconds / 3600:.1f} hours"


class _Stage:
    """One stage and its pace, which is that of its own steps since it began: machines differ, and so do models."""

    def __init__(self, first: ProgressUpdate, now_s: float) -> None:
        # A first update of nothing done starts the clock; another comes when its unit is done already.
        self._first, self._began_s = first, now_s
        self._is_told = False

    def left_s(self, update: ProgressUpdate, now_s: float) -> float | None:
        """Seconds to the end; None before enough is measured."""
        gained = _share(update) - _share(self._first)
        if update.done - self._first.done < MEASURED or gained <= 0:
            return None
        return (now_s - self._began_s) * (1 - _share(update)) / gained

    def took_s(self, now_s: float) -> float:
        return now_s - self._began_s

    def opening(self) -> str | None:
        """What will be done, where the first update tells."""
        first = self._first
        if not first.note or first.done == first.total:
            return None
        start = f"from {first.unit} {first.done} on, " if first.done else ""
        return f"{first.stage}: {start}{first.total} {first.unit}s, {first.note}."

    def announcement(self, update: ProgressUpdate, now_s: float) -> str | None:
        """How long it takes, once, as soon as that is known, and unless it is over in a moment."""
        left = self.left_s(update, now_s)
        if self._is_told or left is None:
            return None
        self._is_told = True
        return f"{update.stage} takes {duration_text(left)}." if left >= WORTH_TELLING_S else None

    def figures(self, update: ProgressUpdate, now_s: float) -> str:
        """The note, and the time that is left."""
        left = self.left_s(update, now_s)
        is_running = left is not None and update.done < update.total
        return ", ".join(filter(None, (update.note, f"{duration_text(left or 0)} left" if is_running else "")))


class _Stages:
    """The run of each stage that goes on. A stage whose count falls has begun another run."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[_Stage, int]] = {}  # each with what was done at its last update

    def of(self, update: ProgressUpdate, now_s: float) -> tuple[_Stage, bool]:
        """The run that an update belongs to, and whether it begins with it."""
        stage, done = self._runs.get(update.stage, (None, 0))
        is_new = stage is None or update.done < done
        if stage is None or is_new:
            stage = _Stage(update, now_s)
        self._runs[update.stage] = stage, update.done
        return stage, is_new


class _Lines:
    """A line for each stage's beginning and end, and one about every half minute."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._stages = _Stages()
        self._printed_s = clock()

    def report(self, update: ProgressUpdate) -> None:
        now = self._clock()
        stage, is_new = self._stages.of(update, now)
        if is_new:
            self._print(stage.opening(), now)
            if not update.done:
                return
        self._print(stage.announcement(update, now), now)
        head = f"{update.stage}: {update.unit} {update.done} of {update.total}"
        if update.done == update.total:
            took = f"took {duration_text(stage.took_s(now))}"
            self._print(", ".join(filter(None, (head, update.note, took))), now)
        elif now - self._printed_s >= LINE_EVERY_S:
            self._print(", ".join(filter(None, (head, stage.figures(update, now)))), now)

    def _print(self, line: str | None, now_s: float) -> None:
        if line is not None:
            self._console.print(line, markup=False, soft_wrap=True)
            self._printed_s = now_s


class _Bars:
    """A bar for each stage, and what is to be said above them."""

    def __init__(self, bars: Progress, clock: Callable[[], float]) -> None:
        self._bars = bars
        self._clock = clock
        self._stages = _Stages()
        self._tasks: dict[str, TaskID] = {}

    def report(self, update: ProgressUpdate) -> None:
        now = self._clock()
        stage, is_new = self._stages.of(update, now)
        if is_new:
            self._tasks[update.stage] = self._bars.add_task(update.stage, total=update.total, note="")
            self._print(stage.opening())
        self._print(stage.announcement(update, now))
        note = stage.figures(update, now) if update.done else ""
        self._bars.update(self._tasks[update.stage], completed=update.done, total=update.total, note=note)

    def _print(self, line: str | None) -> None:
        if line is not None:
            self._bars.console.print(line, markup=False, soft_wrap=True)


def _share(update: ProgressUpdate) -> float:
    return update.done / max(1, update.total) if update.share is None else update.share
