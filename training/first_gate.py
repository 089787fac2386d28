"""Puts the first version of a persona before its gate: nobody answers yet, so it is held against the base model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.adapters.registry import RegisteredAdapter
from core.personas import Persona
from core.settings import Settings
from training.gate import Verdict, decide
from training.gate_measures import measure_adapter
from training.gate_policy import policy_for
from training.measurement import Measurement
from training.progress import ReportProgress
from training.retrain_parts import OpenStorage
from training.settling import note_beside, reason_of, settle


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
    """Record the verdict, and promote where it passed or where force was given; card and verdict lie beside it then.

    Raises ChampionMoved where somebody was promoted meanwhile.
    """
    async with open_storage() as storage:
        await settle(
            storage,
            version,
            verdict,
            over=None,
            rules=None,
            is_forced=is_forced,
            overrides={"force": True} if is_forced else {},
            by=by,
            reason=reason_of(verdict),
        )
        return await note_beside(storage, version)
