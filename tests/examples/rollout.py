"""A persona with a champion, and a challenger that passed its gate."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from core.adapters.registry import RegisteredAdapter, Registry
from core.adapters.rollout import RolloutStanding, Step, is_dealt_to_challenger, read_standing
from core.adapters.rollout_moves import start_rollout, take_step
from core.generation import WeightedAdapter
from core.personas import RolloutTable
from core.store import feedback, rollouts
from core.store.db import Store
from tests.examples.store import ZEN, record_answered, write_adapter

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


async def let_people_meet_it(registry: Registry, store: Store) -> None:
    """End the shadow of the running rollout."""
    step = Step("canary", "zen's challenger was no worse in 30 replies that nobody saw.")
    await take_step(store, registry, await standing_of_zen(store), step)


async def hear_people(registry: Registry, store: Store, likes: Mapping[int, int], *, people: int) -> None:
    """So many people judge a reply of each version in a conversation of the canary, which chance dealt to it.

    Of the replies of version v, the first `likes[v]` people like theirs.
    """
    async with store.read() as session:
        rollout = await rollouts.find(session, *ZEN)
        assert rollout is not None
        versions = {one: (await registry.get(session, *ZEN, one)).ref for one in likes}
    challenger, share = versions[rollout.challenger].content_hash, RolloutTable(**rollout.settings).canary_share
    for version, ref in versions.items():
        is_wanted = version == rollout.challenger
        dealt = (at for at in count() if is_dealt_to_challenger(f"api:canary-{at}", challenger, share) is is_wanted)
        for person, place in zip(range(people), dealt, strict=False):
            async with store.write() as session:
                exchange_id = await record_answered(
                    session,
                    model=ZEN[0],
                    conversation_id=f"api:canary-{place}",
                    event_id=f"api:canary-{place}",
                    adapters=(WeightedAdapter(ref, 1.0),),
                )
                label = person < likes[version]
                await feedback.record(
                    session, exchange_id=exchange_id, user_id=f"person {person}", label=label, source="api"
                )
