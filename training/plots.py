"""Draws an EvalReport as a PNG. Knows how to draw, not how to measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from training.eval_tasks import Adherence

if TYPE_CHECKING:
    from training.evaluation import EvalReport

COLOURS = {"base model": "#9a9a9a", "system prompt only": "#4c86c6", "adapter": "#d1603d"}
BINS = 10


def plot_report(report: EvalReport, path: Path) -> None:
    """Perplexity as bars; for each adherence measure, how the scores of the three kinds of replies spread."""
    measures = [
        (name, adherence)
        for name, adherence in (
            ("Adherence", report.adherence),
            ("Adherence, catchphrases masked", report.masked_adherence),
        )
        if adherence is not None
    ]
    # A Figure of its own, without pyplot: no global state and no display is needed.
    figure = Figure(figsize=(4.2 + 5.2 * len(measures), 4.4), layout="constrained")
    axes = figure.subplots(1, 1 + len(measures), width_ratios=[0.7] + [1.0] * len(measures), squeeze=False)[0]
    _draw_perplexity(axes[0], report)
    for ax, (name, adherence) in zip(axes[1:], measures, strict=True):
        _draw_scores(ax, name, adherence)
    figure.suptitle(f"{report.persona} on {report.base_model} ({report.held_out_rows} held-out rows)")
    figure.savefig(path, dpi=150)


def _draw_perplexity(ax: Any, report: EvalReport) -> None:
    names = ["system prompt only", "adapter"]
    bars = ax.bar(
        ["without\nadapter", "with\nadapter"],
        [report.base_perplexity, report.adapter_perplexity],
        color=[COLOURS[name] for name in names],
    )
    ax.bar_label(bars, fmt="%.2f", padding=3)
    ax.margins(y=0.12)
    ax.set_ylabel("perplexity of held-out replies")
    ax.set_title(f"Perplexity: {report.perplexity_ratio:.2f}× (lower is better)", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_scores(ax: Any, name: str, adherence: Adherence) -> None:
    scores = (adherence.base_scores, adherence.prompted_scores, adherence.adapter_scores)
    edges = [index / BINS for index in range(BINS + 1)]
    ax.hist(scores, bins=edges, label=list(COLOURS), color=list(COLOURS.values()))
    ax.axvline(adherence.threshold, color="black", linestyle="--", linewidth=1, label="5 % of base replies pass")
    ax.set_xlim(0, 1)
    ax.set_xlabel("classifier's probability that the persona wrote it")
    ax.set_ylabel("replies")
    ax.set_title(f"{name}: AUC {adherence.auc:.2f}, {adherence.adapter_rate:.0%} pass", fontsize=10)
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
