"""What changes a rollout: a beginning, the next step, a pause, an end. Each is one transaction, with its event.

Rules are `core.adapters.rollout`'s; what moves with an alias is `core.adapters.alias_moves`'.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

from core.adapters import alias_moves
from core.adapters.registry import ChampionMoved, Registry
from core.adapters.rollout import RolloutStanding, Step
from core.errors import AdapterRejected, NotFound
from core.personas import RolloutTable
from core.store import adapter_versions, rollouts
from core.store.db import Session, Store
from core.store.models import Rollout

ACTOR = "rollout"
Action = Literal["pause", "resume", "abort"]
ACTIONS: Mapping[Action, str] = {
    "pause": "paused the rollout",
    "resume": "let the rollout go on",
    "abort": "aborted the rollout",
}


async def start_rollout(
    store: Store,
    persona: str,
    base_slug: str,
    version: int,
    rules: RolloutTable,
    *,
    over: int,
    by: str,
    reason: str,
) -> None:
    """Let a version that passed its gate against the champion `over` meet people step by step.

    Raises ChampionMoved when another version answers by now, NotFound, and PermissionNeeded without a passed gate.
    """
    async with store.write() as session:
        champion = (await adapter_versions.aliases(session, persona, base_slug, is_locking=True)).get("champion")
        if champion != over:
            raise ChampionMoved(f"Another version than {persona}@{over} answers by now.")
        stored = await adapter_versions.get(session, persona, base_slug, version)
        await alias_moves.begin_rollout(session, stored, over, rules, by=by, reason=reason)


async def take_step(store: Store, registry: Registry, standing: RolloutStanding, step: Step) -> None:
    """Do what was decided, unless the rollout stands elsewhere by now: then nothing, and the next look decides anew."""
    if step.kind == "promote":
        await _promote(store, registry, standing, step.reason)
        return
    async with store.write() as session:
        rollout = await _unchanged(session, standing)
        if rollout is None:
            return
        if step.kind == "canary":
            await rollouts.change(session, rollout, by=ACTOR, reason=step.reason, stage="canary", canary_at=time.time())
        else:
            await _end(session, standing, "rolled_back", step.reason)


async def end_where_champion_moved(store: Store, standing: RolloutStanding) -> None:
    """End a rollout whose champion answers no more, however that came about."""
    async with store.write() as session:
        aliases = await adapter_versions.aliases(session, standing.persona, standing.base_model, is_locking=True)
        if aliases.get("champion") != standing.champion and await _unchanged(session, standing) is not None:
            await _end(session, standing, "ended", f"{standing.persona}@{standing.champion} answers no more.")


async def steer(
    store: Store,
    persona: str,
    base_slug: str,
    action: Action,
    *,
    by: str,
    why: str | None = None,
    challenger: int | None = None,
) -> None:
    """Hold the running rollout, let it go on, or end it, because somebody asked for that. `why` is recorded.

    While paused, nothing is decided and no further conversation gets the challenger; after an end the champion answers
    everywhere. Asking for what is so already changes nothing. Raises NotFound where no rollout is running, or another
    one than that of the version `challenger`, which is the one that they saw.
    """
    reason = f"{by} {ACTIONS[action]}: {why}" if why else f"{by} {ACTIONS[action]}."
    async with store.write() as session:
        rollout = await _running(session, persona, base_slug, challenger)
        if action == "abort":
            await rollouts.end(session, persona, base_slug, outcome="ended", by=by, reason=reason)
        elif rollout.is_paused != (action == "pause"):
            await rollouts.change(session, rollout, by=by, reason=reason, is_paused=action == "pause")


async def _promote(store: Store, registry: Registry, standing: RolloutStanding, reason: str) -> None:
    persona, base_slug, version = standing.persona, standing.base_model, standing.challenger
    try:
        await registry.promote(
            store, persona, base_slug, version, force=False, by=ACTOR, reason=reason, over=standing.champion
        )
    except (AdapterRejected, NotFound) as error:
        async with store.write() as session:
            if await _unchanged(session, standing) is not None:
                await _end(session, standing, "rolled_back", str(error))
    except ChampionMoved:
        await end_where_champion_moved(store, standing)


async def _unchanged(session: Session, standing: RolloutStanding) -> Rollout | None:
    """The rollout, locked, if it stands where it stood."""
    rollout = await rollouts.find(session, standing.persona, standing.base_model, is_locking=True)
    stood = (standing.started_at, standing.stage, standing.is_paused)
    is_same = rollout is not None and (rollout.started_at, rollout.stage, rollout.is_paused) == stood
    return rollout if is_same else None


async def _running(session: Session, persona: str, base_slug: str, challenger: int | None) -> Rollout:
    rollout = await rollouts.find(session, persona, base_slug, is_locking=True)
    if rollout is None or rollout.stage == rollouts.DONE:
        raise NotFound(f"No rollout of {persona} is running on {base_slug}.")
    if challenger not in (None, rollout.challenger):
        raise NotFound(f"The rollout of {persona}@{challenger} is over; {persona}@{rollout.challenger} has one now.")
    return rollout


async def _end(session: Session, standing: RolloutStanding, outcome: str, reason: str) -> None:
    await rollouts.end(session, standing.persona, standing.base_model, outcome=outcome, by=ACTOR, reason=reason)
