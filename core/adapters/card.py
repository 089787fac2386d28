"""One page on an adapter version: where it comes from, what its gate measured, and why it answers or not. Markdown.

Knows no terminal and no database; a file of it lies beside the adapter, as things stood when it was judged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from core.adapters.registry import RegisteredAdapter

CARD_FILE = "CARD.md"
MARKS = {True: "met", False: "**falls short**", None: "not judged"}
KINDS = {
    "registered": "registered",
    "gated": "judged by its gate",
    "shipped": "shipped with the persona",
    "promoted": "promoted",
    "rolled_back": "rolled back to",
}

logger = logging.getLogger(__name__)


class Event(Protocol):
    """A line of the registry's event log."""

    version: Any
    kind: Any
    actor: Any
    reason: Any
    is_forced: Any
    former_champion: Any
    happened_at: Any


def card_text(adapter: RegisteredAdapter, events: Iterable[Event]) -> str:
    """The card, as Markdown."""
    mine = [event for event in events if event.version == adapter.version]
    lines = [
        f"# {adapter.ref.name} on {adapter.base_model}",
        "",
        standing(adapter, mine),
        "",
        "## Where it comes from",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in _origin(adapter).items() if value not in (None, "")]
    if facts := training_facts(adapter.lineage):
        lines += ["", "## Its training", "", *(f"- {name}: {value}" for name, value in facts.items())]
    lines += ["", "## What happened to it", "", *map(event_line, mine)]
    report = adapter.gate_report
    if report is None:
        return "\n".join([*lines, "", "## Its gate", "", "It has not been through an evaluation gate.", ""])
    against = report.get("champion")
    other = f"against the adapter {str(against)[:12]}" if against else "with nobody answering before"
    lines += ["", f"## Its gate: {'passed' if report.get('passed') else 'failed'}, {other}", ""]
    checks = report.get("checks")
    lines += [_check_line(check) for check in checks if isinstance(check, Mapping)] if isinstance(checks, list) else []
    return "\n".join([*lines, ""])


def write_card(adapter: RegisteredAdapter, events: Iterable[Event]) -> None:
    """Put the card beside the adapter. Its content is no part of the adapter's, and a full disk stops nothing."""
    try:
        (adapter.folder / CARD_FILE).write_text(card_text(adapter, events), encoding="utf-8")
    except OSError as error:
        logger.warning("The card of %s is not written (%s).", adapter.ref.name, error.strerror)


def standing(adapter: RegisteredAdapter, events: Sequence[Event]) -> str:
    """Whether it answers, and why, in a sentence or two. `events` are its own."""
    if "champion" not in adapter.aliases:
        names = f" It is the {' and the '.join(adapter.aliases)}." if adapter.aliases else ""
        verdict = next((event.reason for event in reversed(events) if event.kind == "gated"), None)
        return f"It does not answer.{names}{f' {verdict}' if verdict else ''}"
    moved = next((event for event in reversed(events) if event.kind in ("promoted", "rolled_back", "shipped")), None)
    if moved is None:
        return "It answers."
    forced = ", without a passing gate (forced)" if moved.is_forced else ""
    why = f" Why: {moved.reason}" if moved.reason else ""
    return f"It answers: {KINDS[moved.kind]} by {moved.actor} on {_day(moved.happened_at)}{forced}.{why}"


def _origin(adapter: RegisteredAdapter) -> dict[str, Any]:
    lineage = adapter.lineage
    data = lineage.get("data")
    parents = lineage.get("parents")
    return {
        "origin": f"{adapter.origin}, registered on {_day(adapter.created_at)}",
        "method": lineage.get("method"),
        "begun with": ", ".join(str(parent)[:12] for parent in parents) if isinstance(parents, list) else None,
        "data": data.get("sha256") if isinstance(data, Mapping) else None,
        "seed": lineage.get("seed"),
        "base model": lineage.get("base_model"),
        "content hash": adapter.ref.content_hash,
        "folder": str(adapter.folder.name),
    }


def event_line(event: Event) -> str:
    """When it happened, by whom, what and why, as a Markdown list's item."""
    former = f", in place of version {event.former_champion}" if event.former_champion else ""
    forced = ", forced" if event.is_forced else ""
    why = f": {event.reason}" if event.reason else ""
    return f"- {_day(event.happened_at)}, {event.actor}: {KINDS.get(event.kind, event.kind)}{former}{forced}{why}"


def training_facts(lineage: Mapping[str, Any]) -> dict[str, str]:
    """What the lineage says of the training, by name; it may have been written elsewhere, and say anything."""
    data, metrics = _mapping(lineage.get("data")), _mapping(lineage.get("metrics"))
    evaluation, blend = _mapping(metrics.get("evaluation")), lineage.get("blend")
    parts = [one for one in blend if isinstance(one, Mapping)] if isinstance(blend, list) else []
    adherence = _mapping(evaluation.get("adherence")).get("adapter_rate")
    found = {
        "blend of": ", ".join(f"{one.get('adapter')} × {one.get('weight')}" for one in parts),
        "rows": _number(data.get("rows")),
        "judged, preferred and corrected replies": ", ".join(
            _number(data.get(key)) for key in ("judged", "preferred", "corrected") if key in data
        ),
        "steps": _number(metrics.get("steps")),
        "loss at first and at last": _pair(metrics.get("first_loss"), metrics.get("last_loss")),
        "seconds": _number(metrics.get("seconds")),
        "perplexity of held-out replies, times the base model's": _number(evaluation.get("perplexity_ratio")),
        "replies that sound like the persona": f"{adherence:.0%}" if isinstance(adherence, int | float) else "",
    }
    return {name: value for name, value in found.items() if value}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value) if isinstance(value, int) else ""


def _pair(first: Any, last: Any) -> str:
    return f"{_number(first)}, {_number(last)}" if isinstance(first, float) and isinstance(last, float) else ""


def _check_line(check: Mapping[str, Any]) -> str:
    met = check.get("is_met")
    return f"- {MARKS.get(met, 'not judged')}: {check.get('sentence', '')}"


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
