from __future__ import annotations

import io

import pytest
from rich.console import Console

from training.progress import ProgressUpdate, duration_text, show_progress


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def shown(updates: list[tuple[float, ProgressUpdate]]) -> list[str]:
    """The lines of a stage whose updates come at these seconds, where stderr is no terminal."""
    clock, out = Clock(), io.StringIO()
    with show_progress(Console(file=out, width=200), clock=clock) as report:
        for clock.now_s, update in updates:
            report(update)
    return out.getvalue().splitlines()


def step(done: int, note: str = "", share: float | None = None) -> ProgressUpdate:
    return ProgressUpdate("Training", done, 240, note or f"loss {3 - done / 100:.3f}", "step", share)


def test_lines_say_what_is_done_how_long_it_takes_and_about_every_half_minute_how_far_it_is() -> None:
    updates = [(0.0, step(0, "640 rows, 8 a step, on the CPU in float32"))]
    updates += [(5.0 * number, step(number)) for number in range(1, 241)]
    lines = shown(updates)
    assert lines[:4] == [
        "Training: 240 steps, 640 rows, 8 a step, on the CPU in float32.",
        "Training takes about 20 minutes.",
        "Training: step 8 of 240, loss 2.920, about 19 minutes left",
        "Training: step 14 of 240, loss 2.860, about 19 minutes left",
    ]
    assert lines[-2:] == [
        "Training: step 236 of 240, loss 0.640, less than a minute left",
        "Training: step 240 of 240, loss 0.600, took about 20 minutes",
    ]
    assert len(lines) == 42


def test_steps_that_differ_in_size_are_counted_by_their_share() -> None:
    """The first two steps hold a tenth of the work: what is left is nine times as long."""
    lines = shown([(0.0, step(0, "rows", 0.0)), (30.0, step(1, share=0.05)), (60.0, step(2, share=0.1))])
    assert lines[1:] == [
        "Training: step 1 of 240, loss 2.990",
        "Training takes about 9 minutes.",
    ]


def test_a_stage_that_is_over_in_a_moment_is_one_line() -> None:
    rows = [(0.1 * number, ProgressUpdate("Perplexity", number, 80)) for number in range(1, 81)]
    assert shown(rows) == ["Perplexity: row 80 of 80, took less than a minute"]


def test_a_stage_that_runs_again_is_timed_anew() -> None:
    """As when one adapter is measured after another, with something else between."""
    run = [(10.0 * number, ProgressUpdate("Adapter", number, 9)) for number in range(10)]
    lines = shown(run + [(3600.0 + at_s, update) for at_s, update in run])
    assert lines[-3:] == shown(run)[-3:]
    assert lines[-1] == "Adapter: row 9 of 9, took about 2 minutes"


def test_a_training_that_goes_on_says_from_where_and_its_pace_is_that_of_its_own_steps() -> None:
    lines = shown([(0.0, step(200, "rows")), (100.0, step(201)), (200.0, step(202))])
    assert lines == [
        "Training: from step 200 on, 240 steps, rows.",
        "Training: step 201 of 240, loss 0.990",
        "Training takes about 63 minutes.",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "less than a minute"), (61, "about 1 minute"), (1080, "about 18 minutes"), (7300, "about 2.0 hours")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_the_loss_and_the_time_that_is_left() -> None:
    clock, out = Clock(), Terminal()
    console = Console(file=out, width=120, force_terminal=True, color_system=None, legacy_windows=False, _environ={})
    with show_progress(console, clock=clock) as report:
        for clock.now_s, update in [(0.0, step(0, "640 rows")), *((5.0 * n, step(n)) for n in range(1, 121))]:
            report(update)
    text = out.getvalue()
    assert "Training: 240 steps, 640 rows." in text
    assert "Training takes about 20 minutes." in text
    assert "120/240 loss 1.800, about 10 minutes left" in text
