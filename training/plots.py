"""Draws an EvalReport as a PNG. Knows how to draw, not how to measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from training.eval_adherence import Adherence

if TYPE_CHECKING:
    from training.evaluation import EvalReport

COLOURS = {"base model": "#9a9a9a", "system prompt only": "#4c86c6", "adapter": "#d1603d"}
TITLES = {
    "adherence_held_out": "Held-out prompts",
    "adherence_everyday": "Everyday prompts",
    "masked_adherence_held_out": "Held-out, catchphrases masked",
    "masked_adherence_everyday": "Everyday, catchphrases masked",
}
BINS = 10


def plot_report(report: EvalReport, path: Path) -> None:
    """Left, every figure beside its limit; right, how the scores of the three kinds of replies spread."""
    # A Figure of its own, without pyplot: no global state and no display is needed.
    figure = Figure(figsize=(16, 8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.1], squeeze=False)[0]
    _draw_figures(left.subplots(), report)
    axes = right.subplots(2, 2, squeeze=False)
    for ax, (key, title) in zip(axes.flat, TITLES.items(), strict=True):
        _draw_scores(ax, title, report.adherences.get(key))
    figure.suptitle(f"{report.persona} on {report.base_model} ({report.held_out_rows} held-out rows)")
    figure.savefig(path, dpi=110)


def _draw_figures(ax: Any, report: EvalReport) -> None:
    figures = [figure for figure in report.figures if figure.adapter is not None][::-1]
    for name, field in (("base model", "base"), ("system prompt only", "prompted"), ("adapter", "adapter")):
        points = [(getattr(figure, field), at) for at, figure in enumerate(figures)]
        shown = [(value, at) for value, at in points if value is not None]
        ax.scatter([value for value, _ in shown], [at for _, at in shown], color=COLOURS[name], label=name, zorder=3)
    for at, figure in enumerate(figures):
        if figure.limit is not None:
            marker = "<" if figure.is_at_most else ">"
            ax.scatter([figure.limit], [at], marker=marker, s=110, facecolor="none", edgecolor="black", zorder=2)
    labels = [f"{figure.text}{' (falls short)' if figure.is_met is False else ''}" for figure in figures]
    ax.set_yticks(range(len(figures)), labels, fontsize=7)
    ax.grid(axis="x", alpha=0.3)
    ax.set_xlim(-0.03, max(1.03, *(figure.adapter or 0 for figure in figures)) if figures else 1)
    ax.set_title(
        f"Perplexity: {report.perplexity_ratio:.2f}×. Triangles are limits, open towards what is asked.", fontsize=9
    )
    ax.legend(fontsize=8, loc="lower left")


def _draw_scores(ax: Any, title: str, adherence: Adherence | None) -> None:
    if adherence is None:
        ax.set_title(f"{title}: not measured", fontsize=9)
        ax.set_axis_off()
        return
    scores = (adherence.base_scores, adherence.prompted_scores, adherence.adapter_scores)
    edges = [index / BINS for index in range(BINS + 1)]
    ax.hist(scores, bins=edges, label=list(COLOURS), color=list(COLOURS.values()))
    ax.axvline(adherence.threshold, color="black", linestyle="--", linewidth=1, label="5 % of base replies pass")
    ax.set_xlim(0, 1)
    ax.set_xlabel("classifier's probability that the persona wrote it", fontsize=8)
    ax.set_ylabel("replies", fontsize=8)
    ax.set_title(f"{title}: AUC {adherence.auc:.2f}, {adherence.adapter_rate:.0%} pass", fontsize=9)
    ax.legend(fontsize=7)
