"""Puts the first version of a persona before its gate: nobody answers yet, so it is held against the base model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.adapters.card import write_card
from core.adapters.registry import RegisteredAdapter
from core.personas import Persona
from core.settings import Settings
from core.store import adapter_versions
from training.gate import Verdict, decide
from training.gate_measures import measure_adapter
from training.gate_policy import policy_for
from training.measurement import Measurement
from training.progress import ReportProgress
from training.retrain_parts import OpenStorage

GATE = "gate"


def judge_first(
    persona: Persona,
    settings: Settings,
    version: RegisteredAdapter,
    progress: ReportProgress,
    measure: Callable[[Persona, Settings, Path, ReportProgress], Measurement] = measure_adapter,
) -> Verdict:
    """Measure the version on the gate's prompts and decide. Raises what measuring raises."""
    return decide(policy_for(persona), measure(persona, settings, version.folder, progress), None)


async def settle_first(
    open_storage: OpenStorage, version: RegisteredAdapter, verdict: Verdict, *, is_forced: bool, by: str
) -> RegisteredAdapter:
    """Record the verdict, and promote where it passed or where force was given; its card lies beside it then.

    Raises ChampionMoved where somebody was promoted meanwhile.
    """
    persona, base = version.persona, version.base_model
    reasons = " ".join(verdict.reasons)
    reason = "It passed its gate; nobody answered before." if verdict.passed else f"It failed its gate. {reasons}"
    report = verdict.to_dict() | {"overrides": {"force": True} if is_forced else {}}
    async with open_storage() as storage:
        registry, store = storage.registry, storage.store
        async with store.write() as session:
            await registry.record_gate(
                session, persona, base, version.version, passed=verdict.passed, by=GATE, reason=reason, report=report
            )
        if verdict.passed or is_forced:
            await registry.promote(
                store, persona, base, version.version, force=is_forced, by=by, reason=reason, over=None
            )
        async with store.read() as session:
            now = await registry.get(session, persona, base, version.version)
            write_card(now, await adapter_versions.events(session, persona, base))
        return now
