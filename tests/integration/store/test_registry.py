"""Adapter versions and their aliases, on real folders and a real database."""

from __future__ import annotations

import shutil

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.adapters.content_hash import adapter_content_hash
from core.adapters.registry import Registry
from core.advice import ForcePromotion, ListVersions
from core.errors import AdapterRejected, NotFound, PermissionNeeded
from core.generation import WeightedAdapter
from core.store import exchanges
from tests.examples.store import ZEN, aliases_of, events_of, new_exchange, not_null, write_adapter


async def test_a_trained_adapter_becomes_the_challenger_and_is_never_promoted(store, registry, train, tmp_path):
    async with store.session() as session:
        first, second = await train(session, b"one"), await train(session, b"two")
    async with store.session() as session:
        assert await registry.champion(session, *ZEN) is None
        assert await aliases_of(registry, session) == {"challenger": 2}
        found = await registry.get(session, "zen", "smollm2", 1)
    folder = tmp_path / "data" / "adapters" / "zen" / b"one".hex()
    assert (first.ref.name, second.ref.name) == ("zen@1", "zen@2")
    assert (found.folder, found.ref.content_hash) == (folder, adapter_content_hash(folder))
    assert (found.origin, found.lineage, found.gate_passed) == ("trained", {"seed": 1, "data": "ab"}, None)
    assert found.created_at > 0


async def test_the_same_content_is_the_same_version_and_its_folder_is_found_again(store, registry, train):
    async with store.session() as session:
        first = await train(session, b"one")
        again = await train(session, b"one", name="copy")
        assert again == first
        shutil.rmtree(first.folder)
        moved = await train(session, b"one", name="copy")
    assert (moved.version, moved.folder.name) == (1, "copy")


async def test_versions_are_numbered_per_persona_and_base_model(store, registry, tmp_path):
    folder = write_adapter(tmp_path / "data" / "adapters" / "any", b"one")
    async with store.session() as session:
        for name, base_slug in (("zen", "smollm2"), ("zen", "qwen"), ("codebeard", "smollm2")):
            found = await registry.register(session, persona=name, base_slug=base_slug, folder=folder, lineage={})
            assert found.version == 1


async def test_both_roots_may_move(store, registry, train, tmp_path):
    async with store.session() as session:
        await train(session, b"one")
    moved = Registry(tmp_path / "personas", (tmp_path / "data").rename(tmp_path / "elsewhere") / "adapters")
    async with store.session() as session:
        found = await moved.get(session, "zen", "smollm2", 1)
    assert adapter_content_hash(found.folder) == found.ref.content_hash


async def test_a_folder_outside_the_roots_is_refused_even_behind_a_link(store, registry, tmp_path):
    outside = write_adapter(tmp_path / "downloads" / "zen", b"one")
    link = tmp_path / "data" / "adapters" / "zen"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    for folder in (outside, link, link / ".." / ".." / ".." / "downloads" / "zen"):
        async with store.session() as session:
            with pytest.raises(AdapterRejected, match=r"lies outside .* adapters are read from nowhere else"):
                await registry.register(session, persona="zen", base_slug="smollm2", folder=folder, lineage={})


async def test_a_folder_without_weights_is_refused(store, registry, tmp_path):
    folder = tmp_path / "data" / "adapters" / "empty"
    folder.mkdir(parents=True)
    async with store.session() as session:
        with pytest.raises(AdapterRejected, match=r"no readable adapter_model\.safetensors"):
            await registry.register(session, persona="zen", base_slug="smollm2", folder=folder, lineage={})


async def test_a_promotion_moves_champion_and_keeps_the_previous_one(store, registry, train):
    async with store.session() as session:
        await train(session, b"one")
        await train(session, b"two")
        for version in (1, 2):
            await registry.record_gate(session, "zen", "smollm2", version, passed=True, by="gate")
            promoted = await registry.promote(session, "zen", "smollm2", version, force=False, by="ann")
        assert (promoted.version, promoted.aliases) == (2, ("champion",))
    async with store.session() as session:
        assert await aliases_of(registry, session) == {"champion": 2, "previous": 1}
        assert [event for event in await events_of(registry, session) if event[0] == "promoted"] == [
            ("promoted", 1, None, False, "ann"),
            ("promoted", 2, 1, False, "ann"),
        ]


@pytest.mark.parametrize(
    ("gate", "reason"), [(None, "has not been through an evaluation gate"), (False, "failed its gate")]
)
async def test_a_promotion_without_a_passing_gate_needs_force_and_is_recorded_as_forced(
    store, registry, train, gate, reason
):
    async with store.session() as session:
        await train(session, b"one")
        if gate is not None:
            await registry.record_gate(session, "zen", "smollm2", 1, passed=gate, by="gate")
    with pytest.raises(PermissionNeeded, match=f"zen@1 {reason}, so it is not promoted") as refused:
        async with store.session() as session:
            await registry.promote(session, "zen", "smollm2", 1, force=False, by="ann")
    assert refused.value.advice == ForcePromotion()
    async with store.session() as session:
        assert await registry.champion(session, *ZEN) is None
        await registry.promote(session, "zen", "smollm2", 1, force=True, by="ann")
        assert (await events_of(registry, session))[-1] == ("promoted", 1, None, True, "ann")


async def test_force_is_not_recorded_where_it_was_not_needed(store, registry, train):
    async with store.session() as session:
        await train(session, b"one")
        await registry.record_gate(session, "zen", "smollm2", 1, passed=True, by="gate")
        await registry.promote(session, "zen", "smollm2", 1, force=True, by="ann")
        assert (await events_of(registry, session))[-1] == ("promoted", 1, None, False, "ann")


async def test_promoting_the_champion_changes_nothing(store, registry, train):
    async with store.session() as session:
        await train(session, b"one")
        await registry.promote(session, "zen", "smollm2", 1, force=True, by="ann")
        before = await events_of(registry, session)
        assert (await registry.promote(session, "zen", "smollm2", 1, force=False, by="bob")).aliases == ("champion",)
        assert await events_of(registry, session) == before
        assert await aliases_of(registry, session) == {"champion": 1}


async def test_a_rollback_returns_to_the_previous_champion_once(store, registry, train):
    async with store.session() as session:
        for weights in (b"one", b"two"):
            await registry.promote(
                session, "zen", "smollm2", (await train(session, weights)).version, force=True, by="ann"
            )
    async with store.session() as session:
        assert (await registry.rollback(session, *ZEN, by="bob")).version == 1
    async with store.session() as session:
        assert await aliases_of(registry, session) == {"champion": 1}
        assert (await events_of(registry, session))[-1] == ("rolled_back", 1, 2, False, "bob")
        with pytest.raises(NotFound, match="zen has no previous version on smollm2 to roll back to") as refused:
            await registry.rollback(session, *ZEN, by="bob")
        assert refused.value.advice == ListVersions("zen")


async def test_a_promotion_that_fails_halfway_moves_nothing(store, registry, train):
    async with store.session() as session:
        await train(session, b"one")
        await train(session, b"two")
        await registry.promote(session, "zen", "smollm2", 1, force=True, by="ann")
    with pytest.raises(IntegrityError, match="ck_registry_events_actor_named"):
        async with store.session() as session:
            await registry.promote(session, "zen", "smollm2", 2, force=True, by="")
    async with store.session() as session:
        assert await aliases_of(registry, session) == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize("version", [0, -1, 3, 2**31, 10**30])
async def test_an_unknown_version_is_a_sentence(store, registry, train, version):
    async with store.session() as session:
        await train(session, b"one")
        with pytest.raises(NotFound, match=f"zen has no version {version} on smollm2") as refused:
            await registry.promote(session, "zen", "smollm2", version, force=True, by="ann")
        assert refused.value.advice == ListVersions("zen")


async def test_a_version_whose_files_changed_or_are_gone_is_neither_promoted_nor_rolled_back_to(store, registry, train):
    async with store.session() as session:
        first, second = await train(session, b"one"), await train(session, b"two")
        await registry.promote(session, "zen", "smollm2", 1, force=True, by="ann")
        await registry.promote(session, "zen", "smollm2", 2, force=True, by="ann")
    write_adapter(first.folder, b"tampered")
    async with store.session() as session:
        with pytest.raises(AdapterRejected, match=r"zen@1 in .* gone or have changed"):
            await registry.rollback(session, *ZEN, by="ann")
        shutil.rmtree(first.folder)
        with pytest.raises(AdapterRejected, match=r"zen@1 in .* gone or have changed"):
            await registry.promote(session, "zen", "smollm2", 1, force=True, by="ann")
        assert (await registry.champion(session, *ZEN)).ref == second.ref


async def test_a_running_reply_keeps_the_version_it_began_with(store, registry, train):
    async with store.session() as session:
        await registry.promote(session, "zen", "smollm2", (await train(session, b"one")).version, force=True, by="ann")
        champion = await registry.champion(session, *ZEN)
        new = new_exchange(model="zen", adapters=(WeightedAdapter(champion.ref, 1.0),))
        await exchanges.record(session, new)
        await registry.promote(session, "zen", "smollm2", (await train(session, b"two")).version, force=True, by="ann")
    async with store.session() as session:
        row = await exchanges.find(session, new.id)
        assert (await registry.champion(session, *ZEN)).ref.name == "zen@2"
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
            "INSERT INTO adapter_versions SELECT persona, base_model, 2, content_hash, root, path, origin, lineage,"
            " gate_passed, created_at FROM adapter_versions",
            "(?i)unique constraint",
        ),
    ],
)
async def test_the_schema_refuses_what_would_break_the_registry(store, train, statement, rule):
    async with store.session() as session:
        await train(session, b"one")
    with pytest.raises(IntegrityError, match=rule):
        async with store.session() as session:
            await session.execute(text(statement))
