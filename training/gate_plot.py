"""Draws a gate's verdict: each number against its threshold, with its interval. Knows how to draw, not how to judge.

The numbers have units of their own, so each is shown as the share that it uses of what it is allowed: 0 is the
champion's own value (or a perfect one), 1 the threshold. Whatever lies beyond 1 is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.adapter_folder import write_json

JSON_FILE, PLOT_FILE = "gate.json", "gate.png"
RATIOS = ("perplexity", "general_text", "words", "diversity")  # 1 is no change
GAINS = "improvement"  # counts gains, and is no number with a threshold
SHOWN = (-1.0, 3.0)
COLOURS = {True: "#3d8a5f", False: "#c0392b"}

logger = logging.getLogger(__name__)


def save_verdict(report: Mapping[str, Any], title: str, folder: Path) -> None:
    """Put a verdict (`Verdict.to_dict()`) into this folder, as JSON and as a plot. A full disk stops nothing."""
    try:
        write_json(folder / JSON_FILE, dict(report))
        plot_verdict(report, title, folder / PLOT_FILE)
    except OSError as error:
        logger.warning("The gate's plot is not kept in %s: %s.", folder, error.strerror)


def plot_verdict(report: Mapping[str, Any], title: str, path: Path) -> None:
    """One line a check that was judged, those that refuse in red."""
    checks = [one for one in report["checks"] if one["value"] is not None and one["key"] != GAINS][::-1]
    figure = Figure(figsize=(11, 1.6 + 0.34 * len(checks)), layout="constrained")
    ax = figure.subplots()
    for at, check in enumerate(checks):
        _draw(ax, at, check)
    ax.axvline(1, color="black", linewidth=1.2, label="threshold")
    ax.axvline(0, color="#9a9a9a", linewidth=0.8, linestyle=":", label="no change, or perfect")
    ax.set_xlim(*SHOWN)
    ax.set_ylim(-0.7, len(checks) - 0.3)
    ax.set_yticks(range(len(checks)), [_label(check) for check in checks], fontsize=8)
    ax.set_xlabel(
        "share used of what is allowed; a bar is the interval, and a loss keeps its threshold only if its bar does",
        fontsize=8,
    )
    ax.set_title(f"{title}: {'passed' if report['passed'] else 'refused'}", fontsize=10)
    ax.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=110)


def allowance_used(check: Mapping[str, Any], value: float) -> float:
    """How much of its allowance a value uses up: at most 1 exactly where the threshold is kept."""
    limit, is_at_most = float(check["limit"]), bool(check["is_at_most"])
    start = 1.0 if check["key"] in RATIOS or not is_at_most else 0.0
    allowed = abs(limit - start) or 1.0
    return 1 + (value - limit if is_at_most else limit - value) / allowed


def _draw(ax: Any, at: int, check: Mapping[str, Any]) -> None:
    colour = COLOURS[bool(check["is_met"])]
    if check["interval"] is not None:
        bounds = [_clipped(allowance_used(check, bound)) for bound in check["interval"]]
        ax.plot(bounds, [at, at], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
    used = allowance_used(check, check["value"])
    marker = "o" if SHOWN[0] <= used <= SHOWN[1] else "<" if used < 0 else ">"
    ax.scatter([_clipped(used)], [at], color=colour, marker=marker, s=36, zorder=3, clip_on=False)


def _label(check: Mapping[str, Any]) -> str:
    sign = "≤" if check["is_at_most"] else "≥"
    return f"{check['text']}: {check['value']:.3g} ({sign} {check['limit']:.3g})"


def _clipped(value: float) -> float:
    return min(max(value, SHOWN[0]), SHOWN[1])
