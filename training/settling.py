"""What follows from a gate's verdict: it is recorded, and the version answers, meets people first, or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from core.adapters.card import write_card
from core.adapters.registry import RegisteredAdapter
from core.adapters.rollout_moves import start_rollout
from core.personas import RolloutTable
from core.store import adapter_versions
from training.gate import Verdict
from training.gate_plot import save_verdict
from training.retrain_parts import HasParts

GATE = "gate"


async def settle(
    storage: HasParts,
    version: RegisteredAdapter,
    verdict: Verdict,
    *,
    over: int | None,
    rules: RolloutTable | None,
    is_forced: bool,
    overrides: Mapping[str, Any],
    by: str,
    reason: str,
) -> Literal["promoted", "rollout", "forced", "refused"]:
    """Record the verdict; where it passed, begin the rollout that the persona wants, or else promote, as force does.

    `over` is the champion that it was measured against, None for none; `rules` are the rollout's. Raises ChampionMoved.
    """
    registry, store, name = storage.registry, storage.store, (version.persona, version.base_model, version.version)
    report = verdict.to_dict() | {"overrides": dict(overrides)}
    async with store.write() as session:
        await registry.record_gate(session, *name, passed=verdict.passed, by=GATE, reason=reason, report=report)
    if verdict.passed and rules is not None and rules.enabled and over is not None:
        await start_rollout(store, *name, rules, over=over, by=by, reason=reason)
        return "rollout"
    if not verdict.passed and not is_forced:
        return "refused"
    await registry.promote(store, *name, force=is_forced, by=by, reason=reason, over=over)
    return "promoted" if verdict.passed else "forced"


def reason_of(verdict: Verdict) -> str:
    """Why the gate decided so, in sentences."""
    if not verdict.passed:
        return f"It failed its gate. {' '.join(verdict.reasons)}"
    gain = next((check.sentence for check in verdict.checks if check.key == "improvement"), "")
    return f"It passed its gate. {gain}" if verdict.champion else "It passed its gate; nobody answered before."


async def note_beside(storage: HasParts, version: RegisteredAdapter) -> RegisteredAdapter:
    """The version as it stands now, its card and its gate's verdict beside it."""
    persona, base = version.persona, version.base_model
    async with storage.store.read() as session:
        now = await storage.registry.get(session, persona, base, version.version)
        write_card(now, await adapter_versions.events(session, persona, base))
    if now.gate_report is not None:
        save_verdict(now.gate_report, f"{now.ref.name} on {base}", now.folder)
    return now
