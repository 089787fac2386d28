"""What moves together when another version is to answer: aliases, the event that says why, and a running rollout's end.

Every function works within the caller's transaction, which holds the aliases. Reads no files.
"""

from __future__ import annotations

from core.advice import ForcePromotion
from core.errors import PermissionNeeded
from core.personas import RolloutTable
from core.store import adapter_versions, rollouts
from core.store.db import Session
from core.store.models import AdapterVersion, Rollout


def check_gate(stored: AdapterVersion, *, force: bool) -> None:
    """Raises PermissionNeeded where a version has not passed its gate and nobody forces it."""
    if not stored.gate_passed and not force:
        verdict = "has not been through an evaluation gate" if stored.gate_passed is None else "failed its gate"
        raise PermissionNeeded(
            f"{stored.persona}@{stored.version} {verdict}, so it is not promoted.", advice=ForcePromotion()
        )


async def promote(session: Session, stored: AdapterVersion, former: int | None, *, by: str, reason: str | None) -> None:
    """Let this version answer; the former champion becomes `previous`. Forced where its gate was not passed."""
    persona, base_slug, version = stored.persona, stored.base_model, stored.version
    if former is not None:
        await adapter_versions.point(session, persona, base_slug, "previous", former)
    await adapter_versions.point(session, persona, base_slug, "champion", version)
    await adapter_versions.drop(session, persona, base_slug, "challenger", version)
    is_forced = not stored.gate_passed
    adapter_versions.note(
        session, stored, "promoted", former_champion=former, is_forced=is_forced, actor=by, reason=reason
    )
    await _end_rollout(session, stored, f"{by} promoted {persona}@{version}", by=by, reason=reason)


async def roll_back(
    session: Session, stored: AdapterVersion, former: int | None, *, by: str, reason: str | None
) -> None:
    """Let this version, which is `previous`, answer again."""
    persona, base_slug, version = stored.persona, stored.base_model, stored.version
    await adapter_versions.point(session, persona, base_slug, "champion", version)
    await adapter_versions.drop(session, persona, base_slug, "previous", version)
    adapter_versions.note(session, stored, "rolled_back", former_champion=former, actor=by, reason=reason)
    await _end_rollout(session, stored, f"{by} rolled {persona} back to {persona}@{version}", by=by, reason=reason)


async def ship(session: Session, stored: AdapterVersion, former: int | None, *, by: str) -> None:
    """Let a version that the persona ships answer, in place of another one that it shipped or of none."""
    persona, base_slug, version = stored.persona, stored.base_model, stored.version
    await adapter_versions.point(session, persona, base_slug, "champion", version)
    is_forced = former is not None and not stored.gate_passed
    adapter_versions.note(session, stored, "shipped", former_champion=former, is_forced=is_forced, actor=by)
    await _end_rollout(session, stored, f"{persona}@{version}, which it ships, answers now", by=by, reason=None)


async def begin_rollout(
    session: Session, stored: AdapterVersion, champion: int, rules: RolloutTable, *, by: str, reason: str
) -> Rollout:
    """Let this version meet people step by step; harmless where it does already. Another challenger's rollout ends.

    Raises PermissionNeeded where its gate was not passed.
    """
    check_gate(stored, force=False)
    persona, base_slug, version = stored.persona, stored.base_model, stored.version
    running = await rollouts.find(session, persona, base_slug, is_locking=True)
    is_running = running is not None and running.stage != rollouts.DONE
    if running is not None and is_running and (running.challenger, running.champion) == (version, champion):
        return running
    newer = f"{persona}@{version} is newer and takes its place."
    await rollouts.end(session, persona, base_slug, outcome="ended", by=by, reason=newer)
    await adapter_versions.point(session, persona, base_slug, "challenger", version)
    return await rollouts.begin(
        session,
        persona,
        base_slug,
        challenger=version,
        champion=champion,
        stage="shadow",
        settings=rules.model_dump(),
        reason=reason,
        by=by,
    )


async def _end_rollout(session: Session, stored: AdapterVersion, what: str, *, by: str, reason: str | None) -> None:
    """Whoever answers now was not the rollout's to choose, unless it is its challenger that was promoted."""
    rollout = await rollouts.find(session, stored.persona, stored.base_model)
    if rollout is None or rollout.stage == rollouts.DONE:
        return
    is_promoted = rollout.challenger == stored.version
    why = reason if is_promoted and reason else f"{what}{f': {reason}' if reason else '.'}"
    outcome = "promoted" if is_promoted else "ended"
    await rollouts.end(
        session, stored.persona, stored.base_model, outcome=outcome, by=by, reason=why, is_noted=not is_promoted
    )
