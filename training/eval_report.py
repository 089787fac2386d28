"""Shows and keeps an EvalReport: a table for people, JSON for programs, a plot for both."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from core.settings import Settings
from training.adapter_folder import write_json
from training.eval_figures import Figure
from training.evaluation import EvalReport
from training.plots import plot_report

HASH_CHARS = 12
FACTORS = ("perplexity_ratio", "general_text")
VERDICTS = {True: "met", False: "falls short", None: ""}


def save_report(report: EvalReport, settings: Settings) -> Path:
    """Write report.json and report.png; returns their folder, which is named for the adapter's content."""
    folder = settings.data_dir / "evaluations" / report.persona / report.base_model / report.adapter[:HASH_CHARS]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", report.to_dict())
    plot_report(report, folder / "report.png")
    return folder


def report_table(report: EvalReport) -> Table:
    """The figures side by side: base model, base model with the system prompt, adapter, limit, verdict."""
    table = Table(
        title=f"{report.persona} on {report.base_model}, {report.held_out_rows} held-out rows",
        caption="Adherence: share of replies that a classifier takes for the persona's, where at most 5 % of the base"
        " model's replies to the same prompts pass.",
    )
    for heading in ("measure", "replies", "base model", "system prompt only", "adapter", "limit", ""):
        table.add_column(heading, justify="left" if heading in ("measure", "") else "right")
    perplexities = (f"{report.base_perplexity:.2f}", f"{report.adapter_perplexity:.2f}")
    table.add_row("perplexity of held-out replies", str(report.held_out_rows), "", *perplexities, "", "")
    for figure in report.figures:
        values = (_shown(figure, value) for value in (figure.base, figure.prompted, figure.adapter))
        table.add_row(figure.text, str(figure.count), *values, _limit(figure), _verdict(figure))
    return table


def _shown(figure: Figure, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}×" if figure.key in FACTORS else f"{value:.1%}"


def _limit(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    return f"{'≤' if figure.is_at_most else '≥'} {_shown(figure, figure.limit)}"


def _verdict(figure: Figure) -> str:
    return "not measured" if figure.adapter is None else VERDICTS[figure.is_met]
