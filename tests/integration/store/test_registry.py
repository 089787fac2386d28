"""Adapter versions and their aliases, on real folders and a real database."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.adapters.content_hash import adapter_content_hash
from core.adapters.on_disk import has_content
from core.adapters.registry import ChampionMoved, Registry
from core.advice import ForcePromotion, ListVersions
from core.errors import AdapterRejected, NotFound, PermissionNeeded
from core.generation import WeightedAdapter
from core.store import adapter_versions, exchanges
from tests.examples.store import (
    ZEN,
    aliases_of,
    champion_of,
    events_of,
    new_exchange,
    not_null,
    record_answered,
    write_adapter,
)


async def test_a_trained_adapter_becomes_the_challenger_and_is_never_promoted(store, registry, train, tmp_path):
    first, second = await train(b"one"), await train(b"two")
    async with store.write() as session:
        found = await registry.get(session, "zen", "smollm2", 1)
    assert await champion_of(registry, store) is None
    assert await aliases_of(registry, store) == {"challenger": 2}
    folder = tmp_path / "data" / "adapters" / "zen" / b"one".hex()
    assert (first.ref.name, second.ref.name) == ("zen@1", "zen@2")
    assert (found.folder, found.ref.content_hash) == (folder, adapter_content_hash(folder))
    assert (found.origin, found.lineage, found.gate_passed) == ("trained", {"seed": 1, "data": "ab"}, None)
    assert found.created_at > 0


async def test_the_same_content_is_the_same_version_and_its_folder_is_found_again(store, registry, train):
    first = await train(b"one")
    again = await train(b"one", name="copy")
    assert again == first
    shutil.rmtree(first.folder)
    moved = await train(b"one", name="copy")
    assert (moved.version, moved.folder.name) == (1, "copy")


async def test_versions_are_numbered_per_persona_and_base_model(store, registry, tmp_path):
    folder = write_adapter(tmp_path / "data" / "adapters" / "any", b"one")
    for name, base_slug in (("zen", "smollm2"), ("zen", "qwen"), ("codebeard", "smollm2")):
        found = await registry.register(store, persona=name, base_slug=base_slug, folder=folder, lineage={})
        assert found.version == 1


async def test_both_roots_may_move(store, registry, train, tmp_path):
    await train(b"one")
    moved = Registry(tmp_path / "personas", (tmp_path / "data").rename(tmp_path / "elsewhere") / "adapters")
    async with store.write() as session:
        found = await moved.get(session, "zen", "smollm2", 1)
    assert adapter_content_hash(found.folder) == found.ref.content_hash


async def test_a_folder_outside_the_roots_is_refused_even_behind_a_link(store, registry, tmp_path):
    outside = write_adapter(tmp_path / "downloads" / "zen", b"one")
    link = tmp_path / "data" / "adapters" / "zen"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    for folder in (outside, link, link / ".." / ".." / ".." / "downloads" / "zen"):
        with pytest.raises(AdapterRejected, match=r"lies outside .* adapters are read from nowhere else"):
            await registry.register(store, persona="zen", base_slug="smollm2", folder=folder, lineage={})


async def test_a_folder_without_weights_is_refused(store, registry, tmp_path):
    folder = tmp_path / "data" / "adapters" / "empty"
    folder.mkdir(parents=True)
    with pytest.raises(AdapterRejected, match=r"no readable adapter_model\.safetensors"):
        await registry.register(store, persona="zen", base_slug="smollm2", folder=folder, lineage={})


async def test_a_promotion_moves_champion_and_keeps_the_previous_one(store, registry, train):
    await train(b"one")
    await train(b"two")
    for version in (1, 2):
        async with store.write() as session:
            await registry.record_gate(session, "zen", "smollm2", version, passed=True, by="gate")
        promoted = await registry.promote(store, "zen", "smollm2", version, force=False, by="ann")
    assert (promoted.version, promoted.aliases) == (2, ("champion",))
    assert await aliases_of(registry, store) == {"champion": 2, "previous": 1}
    assert [event for event in await events_of(store) if event[0] == "promoted"] == [
        ("promoted", 1, None, False, "ann"),
        ("promoted", 2, 1, False, "ann"),
    ]


@pytest.mark.parametrize(
    ("gate", "reason"), [(None, "has not been through an evaluation gate"), (False, "failed its gate")]
)
async def test_a_promotion_without_a_passing_gate_needs_force_and_is_recorded_as_forced(
    store, registry, train, gate, reason
):
    await train(b"one")
    if gate is not None:
        async with store.write() as session:
            await registry.record_gate(session, "zen", "smollm2", 1, passed=gate, by="gate")
    with pytest.raises(PermissionNeeded, match=f"zen@1 {reason}, so it is not promoted") as refused:
        await registry.promote(store, "zen", "smollm2", 1, force=False, by="ann")
    assert refused.value.advice == ForcePromotion()
    assert await champion_of(registry, store) is None
    await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    assert (await events_of(store))[-1] == ("promoted", 1, None, True, "ann")


async def test_force_is_not_recorded_where_it_was_not_needed(store, registry, train):
    await train(b"one")
    async with store.write() as session:
        await registry.record_gate(session, "zen", "smollm2", 1, passed=True, by="gate")
    await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    assert (await events_of(store))[-1] == ("promoted", 1, None, False, "ann")


async def test_promoting_the_champion_changes_nothing(store, registry, train):
    await train(b"one")
    await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    before = await events_of(store)
    assert (await registry.promote(store, "zen", "smollm2", 1, force=False, by="bob")).aliases == ("champion",)
    assert await events_of(store) == before
    assert await aliases_of(registry, store) == {"champion": 1}


async def test_a_rollback_returns_to_the_previous_champion_once(store, registry, train):
    for weights in (b"one", b"two"):
        await registry.promote(store, "zen", "smollm2", (await train(weights)).version, force=True, by="ann")
    assert (await registry.rollback(store, *ZEN, by="bob")).version == 1
    assert await aliases_of(registry, store) == {"champion": 1}
    assert (await events_of(store))[-1] == ("rolled_back", 1, 2, False, "bob")
    with pytest.raises(NotFound, match="zen has no previous version on smollm2 to roll back to") as refused:
        await registry.rollback(store, *ZEN, by="bob")
    assert refused.value.advice == ListVersions("zen")


async def test_a_promotion_that_fails_halfway_moves_nothing(store, registry, train):
    await train(b"one")
    await train(b"two")
    await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    with pytest.raises(IntegrityError, match="ck_registry_events_actor_named"):
        await registry.promote(store, "zen", "smollm2", 2, force=True, by="")
    assert await aliases_of(registry, store) == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize("version", [0, -1, 3, 2**31, 10**30])
async def test_an_unknown_version_is_a_sentence(store, registry, train, version):
    await train(b"one")
    with pytest.raises(NotFound, match=f"zen has no version {version} on smollm2") as refused:
        await registry.promote(store, "zen", "smollm2", version, force=True, by="ann")
    assert refused.value.advice == ListVersions("zen")


async def test_a_version_whose_files_changed_or_are_gone_is_neither_promoted_nor_rolled_back_to(store, registry, train):
    first, second = await train(b"one"), await train(b"two")
    await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    await registry.promote(store, "zen", "smollm2", 2, force=True, by="ann")
    write_adapter(first.folder, b"tampered")
    with pytest.raises(AdapterRejected, match=r"zen@1 in .* gone or have changed"):
        await registry.rollback(store, *ZEN, by="ann")
    shutil.rmtree(first.folder)
    with pytest.raises(AdapterRejected, match=r"zen@1 in .* gone or have changed"):
        await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    assert (await champion_of(registry, store)).ref == second.ref


async def test_a_running_reply_keeps_the_version_it_began_with(store, registry, train):
    await registry.promote(store, "zen", "smollm2", (await train(b"one")).version, force=True, by="ann")
    champion = await champion_of(registry, store)
    new = new_exchange(model="zen", adapters=(WeightedAdapter(champion.ref, 1.0),))
    async with store.write() as session:
        await exchanges.record(session, new)
    await registry.promote(store, "zen", "smollm2", (await train(b"two")).version, force=True, by="ann")
    async with store.read() as session:
        row = await exchanges.find(session, new.id)
    assert (await champion_of(registry, store)).ref.name == "zen@2"
    assert row.adapters == [{"name": "zen@1", "content_hash": champion.ref.content_hash, "weight": 1.0}]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (
            "UPDATE registry_events SET kind = 'promoted', gate_passed = NULL",
            "ck_registry_events_promotion_gated_or_forced",
        ),
        (
            "UPDATE registry_events SET kind = 'promoted', gate_passed = FALSE",
            "ck_registry_events_promotion_gated_or_forced",
        ),
        ("UPDATE registry_events SET actor = ''", "ck_registry_events_actor_named"),
        ("UPDATE adapter_aliases SET version = 9", "(?i)foreign key constraint"),
        ("UPDATE adapter_aliases SET base_model = 'qwen'", "(?i)foreign key constraint"),
        ("UPDATE adapter_aliases SET alias = 'latest'", "ck_adapter_aliases_alias_known"),
        ("DELETE FROM adapter_versions", "(?i)foreign key constraint"),
        ("UPDATE adapter_versions SET content_hash = 'abc'", "ck_adapter_versions_content_hash_sha256"),
        ("UPDATE adapter_versions SET lineage = NULL", not_null("adapter_versions", "lineage")),
        (
            "INSERT INTO adapter_versions (persona, base_model, version, content_hash, root, path, origin, lineage,"
            " created_at) SELECT persona, base_model, 2, content_hash, root, path, origin, lineage, created_at"
            " FROM adapter_versions",
            "(?i)unique constraint",
        ),
    ],
)
async def test_the_schema_refuses_what_would_break_the_registry(store, train, statement, rule):
    await train(b"one")
    with pytest.raises(IntegrityError, match=rule):
        async with store.write() as session:
            await session.execute(text(statement))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_nobody_waits_for_a_write_while_files_are_read(
    store, registry, personas, bundled, train, tmp_path, monkeypatch
):
    """Another process, which waits for nothing, may write during every hash."""
    other = sqlite3.connect(tmp_path / "personas.db", timeout=0, isolation_level=None, check_same_thread=False)
    hashed = []

    def read(folder):
        other.execute("BEGIN IMMEDIATE")  # raises "database is locked" inside a transaction of ours
        other.execute("ROLLBACK")
        hashed.append(folder)
        return adapter_content_hash(folder)

    monkeypatch.setattr("core.adapters.registry.adapter_content_hash", read)
    monkeypatch.setattr("core.adapters.folders.adapter_content_hash", read)
    write_adapter(bundled, b"shipped")
    await registry.sync_bundled(store, personas, "smollm2")
    mine, copy = await train(b"mine"), await train(b"mine", name="copy")
    await registry.promote(store, *ZEN, mine.version, force=True, by="ann")
    await registry.rollback(store, *ZEN, by="ann")
    left = write_adapter(tmp_path / "data" / "adapters" / "zen" / "smollm2" / "left", b"left")
    (left / "lineage.json").write_text("{}", encoding="utf-8")
    await registry.sync_trained(store, personas, "smollm2")
    assert copy.ref == mine.ref
    assert {folder.name for folder in hashed} == {bundled.name, b"mine".hex(), "copy", "left"}
    other.close()


async def test_a_version_that_stopped_being_the_previous_one_is_not_rolled_back_to(store, registry, train, monkeypatch):
    for weights in (b"one", b"two", b"three"):
        await train(weights)
    for version in (1, 2):
        await registry.promote(store, *ZEN, version, force=True, by="ann")

    def promote_meanwhile(folder, content_hash):
        async def point() -> None:
            async with store.write() as session:
                await adapter_versions.point(session, *ZEN, "previous", 3)

        asyncio.run_coroutine_threadsafe(point(), loop).result()
        return has_content(folder, content_hash)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr("core.adapters.registry.has_content", promote_meanwhile)
    with pytest.raises(NotFound, match=r"zen@1 is not the previous version any more"):
        await registry.rollback(store, *ZEN, by="bob")
    assert await aliases_of(registry, store) == {"champion": 2, "previous": 3, "challenger": 3}


async def test_champions_are_looked_up_all_at_once(store, registry, train, tmp_path, statements):
    await registry.promote(store, *ZEN, (await train(b"one")).version, force=True, by="ann")
    await train(b"two")
    folder = write_adapter(tmp_path / "data" / "adapters" / "codebeard", b"arr")
    await registry.register(store, persona="codebeard", base_slug="smollm2", folder=folder, lineage={})
    async with store.read() as session:
        expected = await registry.get(session, *ZEN, 1)
        with statements(session) as asked:
            found = await registry.champions(session, ["zen", "codebeard", "nobody"], "smollm2")
    assert found == {"zen": expected}
    assert len(asked) == 1


async def test_the_event_log_says_who_when_and_why_and_a_version_keeps_its_verdict(store, registry, train):
    for weights in (b"one", b"two"):
        await train(weights)
    report = {"passed": True, "checks": [{"key": "votes", "value": 0.7}]}
    for _ in range(2):  # as after a kill: the same verdict again is one event
        async with store.write() as session:
            gated = await registry.record_gate(
                session, *ZEN, 2, passed=True, by="gate", reason="Better.", report=report
            )
    assert (gated.gate_passed, gated.gate_report) == (True, report)
    await registry.promote(store, *ZEN, 1, force=True, by="ann", reason="The first one.")
    await registry.promote(store, *ZEN, 2, force=False, by="gate", reason="Better.", over=1)
    await registry.rollback(store, *ZEN, by="bob", reason="People complain.")
    async with store.read() as session:
        events = await adapter_versions.events(session, *ZEN)
    assert [(event.kind, event.version, event.actor, event.reason) for event in events] == [
        ("registered", 1, "trained", None),
        ("registered", 2, "trained", None),
        ("gated", 2, "gate", "Better."),
        ("promoted", 1, "ann", "The first one."),
        ("promoted", 2, "gate", "Better."),
        ("rolled_back", 1, "bob", "People complain."),
    ]


async def test_a_promotion_over_another_champion_than_it_was_decided_against_moves_nothing(store, registry, train):
    for weights in (b"one", b"two", b"three"):
        await train(weights)
    await registry.promote(store, *ZEN, 1, force=True, by="ann")
    for over in (None, 2):
        with pytest.raises(ChampionMoved):
            await registry.promote(store, *ZEN, 3, force=True, by="gate", over=over)
    assert (await aliases_of(registry, store))["champion"] == 1
    assert (await registry.promote(store, *ZEN, 3, force=True, by="gate", over=1)).aliases == ("champion",)


async def test_what_a_version_learned_from_is_written_with_it_and_once(store, registry, tmp_path):
    async with store.write() as session:
        asked = [await record_answered(session) for _ in range(3)]
    folder = write_adapter(tmp_path / "data" / "adapters" / "zen" / "one", b"one")
    for _ in range(2):
        await registry.register(
            store, persona="zen", base_slug="smollm2", folder=folder, lineage={}, exchange_ids=asked[:2]
        )
    async with store.read() as session:
        assert await adapter_versions.examples(session, *ZEN) == set(asked[:2])
        assert await adapter_versions.examples(session, "zen", "qwen") == set()
