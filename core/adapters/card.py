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
        _standing(adapter, mine),
        "",
        "## Where it comes from",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in _origin(adapter).items() if value not in (None, "")]
    lines += ["", "## What happened to it", "", *map(_event_line, mine)]
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


def _standing(adapter: RegisteredAdapter, events: Sequence[Event]) -> str:
    """Whether it answers, and why."""
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


def _event_line(event: Event) -> str:
    former = f", in place of version {event.former_champion}" if event.former_champion else ""
    forced = ", forced" if event.is_forced else ""
    why = f": {event.reason}" if event.reason else ""
    return f"- {_day(event.happened_at)}, {event.actor}: {KINDS.get(event.kind, event.kind)}{former}{forced}{why}"


def _check_line(check: Mapping[str, Any]) -> str:
    met = check.get("is_met")
    return f"- {MARKS.get(met, 'not judged')}: {check.get('sentence', '')}"


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
