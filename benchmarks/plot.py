"""Draws figures as a PNG. Knows how to draw, not how to measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.summary import Figures, Spread
from benchmarks.workloads import Workload

# PEFT in greys and yellows, continuous batching in blues, llama.cpp in greens, vLLM in purples, the engine in reds.
COLOURS = {
    "PEFT set_adapter + generate": "#9a9a9a",
    "PEFT generate": "#5f5f5f",
    "PEFT mixed batch": "#c9a227",
    "generate, no LoRA": "#e3cf8a",
    "continuous batching + LoRA": "#4c86c6",
    "continuous batching, no LoRA": "#a9c7e8",
    "llama.cpp + LoRA": "#3d8c5a",
    "llama.cpp, no LoRA": "#a5d4b5",
    "vLLM + LoRA": "#7d5ba6",
    "vLLM, no LoRA": "#c7b3dd",
    "this engine": "#d1603d",
    "this engine, no LoRA": "#edb39f",
    "this engine over HTTP": "#8c2f16",
}
KINDS = (("at once", "equal"), ("at once", "ragged"), ("spread", "equal"), ("spread", "ragged"))


def plot_figures(path: Path, title: str, figures: Sequence[Figures]) -> None:
    """Tokens per second and time to first token over the number of requests, one column for each kind of load."""
    figure = Figure(figsize=(18, 8), layout="constrained")
    axes = figure.subplots(2, len(KINDS), squeeze=False)
    for column, (arrivals, lengths) in enumerate(KINDS):
        # Many adapters and long prompts are in the table; here the load alone differs.
        rows = [row for row in figures if row.workload == Workload(row.workload.requests, arrivals, lengths)]
        axes[0][column].set_title(f"{arrivals}, {lengths} lengths")
        _draw_bars(axes[0][column], rows, [row.tokens_per_s for row in rows], "tokens/s")
        _draw_bars(axes[1][column], rows, [row.first_token_s for row in rows], "seconds to first token")
    handles = {
        label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    figure.suptitle(f"{title}: medians and quartiles")
    figure.savefig(path, dpi=120)


def _draw_bars(axis: Axes, rows: Sequence[Figures], values: Sequence[Spread], label: str) -> None:
    counts = sorted({row.workload.requests for row in rows})
    systems = list(dict.fromkeys(row.system for row in rows))
    width = 0.85 / max(1, len(systems))
    for place, system in enumerate(systems):
        mine = [(row, value) for row, value in zip(rows, values, strict=True) if row.system == system]
        axis.bar(
            [counts.index(row.workload.requests) + (place - (len(systems) - 1) / 2) * width for row, _ in mine],
            [value.median for _, value in mine],
            width,
            yerr=[[v.median - v.low for _, v in mine], [v.high - v.median for _, v in mine]],
            label=system,
            color=COLOURS[system],
            error_kw={"linewidth": 0.8},
        )
    axis.set_xticks(range(len(counts)), [str(count) for count in counts])
    axis.set_xlabel("requests")
    axis.set_ylabel(label)
    axis.spines[["top", "right"]].set_visible(False)
