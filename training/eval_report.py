"""Shows and keeps an EvalReport: a table for people, JSON for programs, a plot for both."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from core.settings import Settings
from training.adapter_folder import write_json
from training.eval_tasks import Adherence
from training.evaluation import EvalReport
from training.plots import plot_report

HASH_CHARS = 12


def save_report(report: EvalReport, settings: Settings) -> Path:
    """Write report.json and report.png; returns their folder, which is named for the adapter's content."""
    folder = settings.data_dir / "evaluations" / report.persona / report.base_model / report.adapter[:HASH_CHARS]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", report.to_dict())
    plot_report(report, folder / "report.png")
    return folder


def report_table(report: EvalReport) -> Table:
    """The figures side by side: base model, base model with the system prompt, adapter."""
    table = Table(
        title=f"{report.persona} on {report.base_model}, {report.held_out_rows} held-out rows",
        caption="Perplexity: lower is better. Adherence: share of replies a classifier takes for the persona's.",
    )
    for heading in ("measure", "base model", "system prompt only", "adapter"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    table.add_row(
        "perplexity of held-out replies",
        "",
        f"{report.base_perplexity:.2f}",
        f"{report.adapter_perplexity:.2f} ({report.perplexity_ratio:.2f}×)",
    )
    _add_adherence(table, "adherence", report.adherence)
    _add_adherence(table, "adherence, catchphrases masked", report.masked_adherence)
    return table


def _add_adherence(table: Table, name: str, adherence: Adherence | None) -> None:
    if adherence is None:
        table.add_row(name, "–", "–", "not measured")
        return
    base_rate = sum(score > adherence.threshold for score in adherence.base_scores) / len(adherence.base_scores)
    table.add_row(name, f"{base_rate:.0%}", f"{adherence.prompted_rate:.0%}", f"{adherence.adapter_rate:.0%}")
    table.add_row(f"{name}: AUC against the base", "0.50", "", f"{adherence.auc:.2f}")
