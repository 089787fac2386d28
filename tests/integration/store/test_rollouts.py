"""Rollouts on a real database: one transaction a step, an event for each, and whose choice a conversation is."""

from __future__ import annotations

import asyncio

import pytest

from core.adapters import rollout_moves
from core.adapters.choice import choose_adapters
from core.adapters.registry import ChampionMoved
from core.adapters.rollout import Step, decide
from core.errors import NotFound, PermissionNeeded
from core.generation import AdapterRef, WeightedAdapter
from core.queue.jobs import JobStatus
from core.store import adapter_versions, exchanges, feedback, rollouts
from tests.examples.rollout import GATED, add_gated, roll_out, standing_of_zen
from tests.examples.store import ZEN, aliases_of, new_exchange, record_answered, settle


@pytest.fixture
async def versions(store, registry, tmp_path):
    """zen@1 answers; zen@2 and zen@3 passed their gates."""
    made = [await add_gated(registry, store, tmp_path / "data" / "adapters", name) for name in (b"1", b"2", b"3")]
    await registry.promote(store, *ZEN, 1, force=False, by="ann")
    return made


async def why(store) -> list[tuple[str, int, str | None]]:
    async with store.read() as session:
        events = await adapter_versions.events(session, *ZEN)
    return [(one.kind, one.version, one.reason) for one in events if one.kind not in ("registered", "gated")]


async def step(store, registry) -> Step | None:
    standing = await standing_of_zen(store)
    decided = decide(standing)
    if decided is not None:
        await rollout_moves.take_step(store, registry, standing, decided)
    return decided


async def answer(store, registry, conversation: str, *, status: JobStatus = JobStatus.SUCCEEDED) -> tuple[str, str]:
    """Answer a message there; the exchange's id and the version's name."""
    async with store.write() as session:
        chosen = (await choose_adapters(session, registry, ("zen",), "smollm2", conversation_id=conversation))["zen"]
        share = WeightedAdapter(chosen.ref, 1.0)
        values = {"model": "zen", "conversation_id": conversation, "adapters": (share,)}
        if status is JobStatus.SUCCEEDED:
            return await record_answered(session, **values), chosen.ref.name
        new = new_exchange(**values)
        await exchanges.record(session, new)
        await settle(session, new.id, status=status, reply="", finish_reason="error", error="It broke.")
        return new.id, chosen.ref.name


async def test_every_step_is_an_event_that_says_why(store, registry, versions):
    await roll_out(store, 2, over=1)
    assert (await step(store, registry)).kind == "canary"
    assert await step(store, registry) is None
    await rollout_moves.steer(store, *ZEN, "pause", by="ann")
    await rollout_moves.steer(store, *ZEN, "pause", by="ann", why="Again.")
    await rollout_moves.steer(store, *ZEN, "resume", by="ann")
    await rollout_moves.steer(store, *ZEN, "abort", by="ann")
    assert (await why(store))[1:] == [
        ("rollout", 2, GATED),
        ("rollout", 2, "zen@2 answers in 50% of new conversations; no shadow is wanted."),
        ("rollout", 2, "ann paused the rollout."),
        ("rollout", 2, "ann let the rollout go on."),
        ("rollout", 2, "ann aborted the rollout."),
    ]
    standing = await standing_of_zen(store)
    assert (standing.stage, standing.outcome, standing.is_running) == ("done", "ended", False)
    with pytest.raises(NotFound, match="No rollout of zen is running on smollm2"):
        await rollout_moves.steer(store, *ZEN, "abort", by="ann")


async def test_only_a_gated_version_begins_and_only_against_who_answers(store, registry, versions, train):
    ungated = await train(b"ungated")
    with pytest.raises(PermissionNeeded, match="has not been through an evaluation gate"):
        await roll_out(store, ungated.version, over=1)
    with pytest.raises(ChampionMoved):
        await roll_out(store, 2, over=3)
    assert await why(store) == [("promoted", 1, None)]


async def test_the_same_rollout_goes_on_and_a_newer_version_takes_its_place(store, registry, versions):
    await roll_out(store, 2, over=1)
    began = (await standing_of_zen(store)).started_at
    await roll_out(store, 2, over=1)
    assert (await standing_of_zen(store)).started_at == began
    await roll_out(store, 3, over=1)
    assert (await standing_of_zen(store)).challenger == 3
    assert (await why(store))[-2:] == [("rollout", 2, "zen@3 is newer and takes its place."), ("rollout", 3, GATED)]
    assert (await aliases_of(registry, store))["challenger"] == 3


@pytest.mark.parametrize("by_hand", ["promote", "rollback"])
async def test_a_promotion_or_rollback_by_hand_ends_it_and_says_so(store, registry, versions, by_hand):
    await registry.promote(store, *ZEN, 3, force=False, by="ann")
    await roll_out(store, 2, over=3)
    if by_hand == "promote":
        await registry.promote(store, *ZEN, 1, force=False, by="ann", reason="I like it.")
        reason = "ann promoted zen@1: I like it."
    else:
        await registry.rollback(store, *ZEN, by="ann")
        reason = "ann rolled zen back to zen@1."
    standing = await standing_of_zen(store)
    assert (standing.outcome, standing.reason) == ("ended", reason)
    assert (await why(store))[-1] == ("rollout", 2, reason)


async def test_promoting_the_challenger_by_hand_ends_it_as_promoted_with_one_event(store, registry, versions):
    await roll_out(store, 2, over=1)
    await registry.promote(store, *ZEN, 2, force=False, by="ann", reason="It is good.")
    standing = await standing_of_zen(store)
    assert (standing.outcome, standing.reason) == ("promoted", "It is good.")
    assert (await why(store))[-1] == ("promoted", 2, "It is good.")


async def test_a_step_that_was_decided_before_something_else_happened_is_not_taken(store, registry, versions):
    await roll_out(store, 2, over=1)
    before = await standing_of_zen(store)
    await rollout_moves.steer(store, *ZEN, "pause", by="ann")
    await rollout_moves.take_step(store, registry, before, Step("roll_back", "Too late."))
    assert (await standing_of_zen(store)).is_running


async def test_several_servers_take_a_step_once(store, registry, versions):
    await roll_out(store, 2, over=1)
    standing = await standing_of_zen(store)
    steps = [rollout_moves.take_step(store, registry, standing, decide(standing)) for _ in range(5)]
    await asyncio.gather(*steps)
    assert len(await why(store)) == 3


async def test_files_that_are_gone_take_a_challenger_back_instead_of_promoting_it(store, registry, versions):
    await roll_out(store, 2, over=1)
    await step(store, registry)
    (versions[1].folder / "adapter_model.safetensors").write_bytes(b"changed")
    await rollout_moves.take_step(store, registry, await standing_of_zen(store), Step("promote", "Liked."))
    standing = await standing_of_zen(store)
    assert standing.outcome == "rolled_back" and "are gone or have changed" in standing.reason
    assert (await aliases_of(registry, store))["champion"] == 1


async def test_thumbs_count_for_the_version_that_wrote_the_reply_and_only_in_conversations_of_the_canary(
    store, registry, versions
):
    old, _ = await answer(store, registry, "api:old")
    await roll_out(store, 2, over=1)
    await step(store, registry)
    told = {f"api:{number}": await answer(store, registry, f"api:{number}") for number in range(30)}
    told["api:old"] = await answer(store, registry, "api:old")
    blended = WeightedAdapter(AdapterRef("zen@2", versions[1].ref.content_hash), 0.5)
    async with store.write() as session:
        other = await record_answered(session, model="zen:0.5", conversation_id="api:blend", adapters=(blended,))
        for exchange_id, name in [*told.values(), (old, ""), (other, "")]:
            await feedback.record(
                session, exchange_id=exchange_id, user_id=f"p{exchange_id}", label=name == "zen@2", source="api"
            )
    evidence = (await standing_of_zen(store)).evidence
    names = [name for place, (_, name) in told.items() if place != "api:old"]
    assert evidence.challenger == (names.count("zen@2"), 0)
    assert evidence.champion == (0, names.count("zen@1"))
    assert told["api:old"][1] == "zen@1"


async def test_failures_of_the_challengers_conversations_take_it_back(store, registry, versions):
    await roll_out(store, 2, over=1)
    await step(store, registry)
    for number in range(30):
        async with store.read() as session:
            chosen = await choose_adapters(session, registry, ("zen",), "smollm2", conversation_id=f"api:{number}")
        is_broken = chosen["zen"].version == 2
        await answer(store, registry, f"api:{number}", status=JobStatus.FAILED if is_broken else JobStatus.SUCCEEDED)
    assert (await step(store, registry)).kind == "roll_back"
    assert "Replies failed in" in (await standing_of_zen(store)).reason


async def test_while_no_rollout_runs_choosing_asks_for_one_table_more_and_for_no_exchange(
    store, registry, versions, statements
):
    async with store.read() as session:
        with statements(session) as asked:
            await choose_adapters(session, registry, ("zen",), "smollm2", conversation_id="api:1")
    assert len(asked) == 2 and not any("exchanges" in statement for statement in asked)
    async with store.read() as session:
        assert await rollouts.running(session, ("zen",), "smollm2") == []
