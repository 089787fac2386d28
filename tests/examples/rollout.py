"""A persona with a champion, and a challenger that passed its gate."""

from __future__ import annotations

from typing import Any

from core.adapters.registry import RegisteredAdapter, Registry
from core.adapters.rollout import RolloutStanding, read_standing
from core.adapters.rollout_moves import start_rollout
from core.personas import RolloutTable
from core.store.db import Store
from tests.examples.store import ZEN, write_adapter

GATED = "It passed its gate."


async def add_gated(registry: Registry, store: Store, folder: Any, weights: bytes) -> RegisteredAdapter:
    """Another version of zen's, measured and found better."""
    made = write_adapter(folder / "zen" / ZEN[1] / weights.hex(), weights)
    new = await registry.register(store, persona=ZEN[0], base_slug=ZEN[1], folder=made, lineage={})
    async with store.write() as session:
        return await registry.record_gate(session, *ZEN, new.version, passed=True, by="gate", reason=GATED)


async def roll_out(store: Store, version: int, *, over: int, **rules: Any) -> None:
    """Begin a rollout with these rules, and without a shadow unless they ask for one."""
    table = RolloutTable(enabled=True, **{"shadow_replies": 0, **rules})
    await start_rollout(store, *ZEN, version, table, over=over, by="retrain", reason=GATED)


async def standing_of_zen(store: Store) -> RolloutStanding:
    async with store.read() as session:
        standing = await read_standing(session, *ZEN)
    assert standing is not None
    return standing
