"""What people are told about an adapter version: how it was measured, and how its replies are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.adapters.registry import RegisteredAdapter
from core.personas import Persona
from core.store.feedback import Tally


def evaluation_text(adapter: RegisteredAdapter | None) -> str:
    """The figures that the lineage holds, in a few words; empty when nothing was measured."""
    ratio = _number_in(adapter, "perplexity_ratio")
    rate = _number_in(adapter, "adherence", "adapter_rate")
    parts = ["" if ratio is None else f"perplexity ×{ratio:.2f}", "" if rate is None else f"adherence {rate:.0%}"]
    return ", ".join(filter(None, parts))


def evaluation_of(adapter: RegisteredAdapter | None, *keys: str) -> Any:
    """What the lineage says of the evaluation, or what stands there below `keys`; None where it says nothing."""
    found: Any = None if adapter is None else adapter.lineage
    for key in ("metrics", "evaluation", *keys):
        found = found.get(key) if isinstance(found, dict) else None  # a shipped lineage may hold anything
    return found


def _number_in(adapter: RegisteredAdapter | None, *keys: str) -> float | None:
    number = evaluation_of(adapter, *keys)
    return float(number) if isinstance(number, int | float) else None


def thumbs_text(persona: Persona, champion: RegisteredAdapter | None, thumbs: Sequence[Tally]) -> str:
    """How the replies of the version that answers now were judged; empty when none was."""
    hashes = [] if champion is None else [champion.ref.content_hash]
    mine = [
        tally
        for tally in thumbs
        if tally.model == persona.slug and [adapter["content_hash"] for adapter in tally.adapters] == hashes
    ]
    return f"👍 {sum(tally.up for tally in mine)} · 👎 {sum(tally.down for tally in mine)}" if mine else ""
