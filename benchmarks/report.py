"""Figures as tables in the terminal and as JSON. Knows no measuring."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Sample
from benchmarks.summary import Figures, Verdict

PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class Setting:
    """What was measured on what. `loads` are the machine's load averages (1 minute) before and after."""

    base_model: dict[str, Any]
    dtype: str
    rounds: int
    is_quick: bool
    loads: tuple[float, float]

    @property
    def title(self) -> str:
        """Model, dtype, rounds and machine in one line."""
        machine = self.machine()
        return (
            f"{self.base_model['name']}, {self.base_model['parameters'] / 1e6:.0f}M parameters, {self.dtype},"
            f" {self.rounds} rounds,"
            f" {machine['processor']}, {machine['threads']} threads"
        )

    def machine(self) -> dict[str, Any]:
        """Processor, threads and versions."""
        return {
            "processor": _processor(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        }


def print_report(console: Console, setting: Setting, figures: Sequence[Figures], verdicts: Sequence[Verdict]) -> None:
    """Two tables: every figure, and the goals."""
    console.print(f"{setting.title}, load {setting.loads[0]:.1f} before and {setting.loads[1]:.1f} after")
    console.print(_figures_table(figures))
    console.print(_goals_table(verdicts))
    if setting.is_quick:
        console.print("A quick run only shows that everything works: its model is a toy, so its figures mean nothing.")


def _figures_table(figures: Sequence[Figures]) -> Table:
    table = Table(title="Medians (quartiles); the engine's speed is over this system's in the same round")
    for title in ("requests", "system"):
        table.add_column(title, no_wrap=True)
    times = ("first token s", "p95", "gap ms", "p99", "request s", "CPU s")
    for title in ("tokens/s", "engine's speed", *times, "MB", "same"):
        table.add_column(title, justify="right", no_wrap=True)
    previous = ""
    for row in figures:
        name = row.workload.name
        if previous not in ("", name):
            table.add_section()
        table.add_row(
            "" if name == previous else name,
            row.system,
            f"{row.tokens_per_s.median:.0f} ({row.tokens_per_s.low:.0f}-{row.tokens_per_s.high:.0f})",
            f"{row.engine_speed.median:.2f} ({row.engine_speed.low:.2f}-{row.engine_speed.high:.2f})",
            f"{row.first_token_s.median:.2f}",
            f"{row.first_token_p95_s:.2f}",
            f"{row.gap_s * 1e3:.0f}",
            f"{row.gap_p99_s * 1e3:.0f}",
            f"{row.latency_s.median:.2f}",
            f"{row.cpu_s.median:.2f}",
            f"{row.memory_bytes / 1e6:.0f}",
            "" if row.same_tokens is None else f"{row.same_tokens:.0%}",
        )
        previous = name
    return table


def _goals_table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="Goals")
    for title in ("goal", "requests", "limit", "measured", ""):
        table.add_column(title)
    for verdict in verdicts:
        table.add_row(
            verdict.goal.text,
            verdict.workload.name,
            limit_text(verdict),
            f"{verdict.ratio.median:.2f} ({verdict.ratio.low:.2f}-{verdict.ratio.high:.2f})",
            "[green]pass[/]" if verdict.is_met else "[red]fail[/]",
        )
    return table


def limit_text(verdict: Verdict) -> str:
    """The goal's limit, such as "≥ 4"."""
    goal = verdict.goal
    return f"≥ {goal.at_least:g}" if goal.at_least is not None else f"≤ {goal.at_most:g}"


def write_json(
    path: Path, setting: Setting, samples: Sequence[Sample], figures: Sequence[Figures], verdicts: Sequence[Verdict]
) -> None:
    """Everything that was measured, and what follows from it."""
    content = {
        "setting": asdict(setting) | {"machine": setting.machine()},
        "goals": [
            {
                "goal": verdict.goal.text,
                "workload": verdict.workload.name,
                "limit": limit_text(verdict),
                "ratio": asdict(verdict.ratio),
                "is_met": verdict.is_met,
            }
            for verdict in verdicts
        ],
        "figures": [asdict(row) for row in figures],
        "samples": [asdict(sample) for sample in samples],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
