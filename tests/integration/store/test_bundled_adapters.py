"""Adapters that personas ship: registered at every start, and never in the way of trained ones."""

from __future__ import annotations

import re

import pytest

from tests.examples.store import ZEN, aliases_of, champion_of, events_of, versions_of, write_adapter


async def test_a_shipped_adapter_is_registered_once_and_answers_where_nothing_else_does(
    store, registry, personas, bundled
):
    write_adapter(bundled, b"shipped")
    (bundled / "lineage.json").write_text('{"seed": 3}', encoding="utf-8")
    for _ in range(2):
        await registry.sync_bundled(store, personas, "smollm2")
        await registry.sync_bundled(store, personas, "qwen")
        (found,) = await versions_of(registry, store)
        assert await versions_of(registry, store, base="qwen") == []
    assert (found.persona, found.version, found.origin, found.lineage) == ("zen", 1, "bundled", {"seed": 3})
    assert (found.aliases, found.folder) == (("champion",), bundled)
    assert await events_of(store) == [
        ("registered", 1, None, False, "bundled"),
        ("shipped", 1, None, False, "bundled"),
    ]


async def test_a_changed_shipped_adapter_takes_the_place_of_the_former_one_and_back(store, registry, personas, bundled):
    for weights, version in ((b"old", 1), (b"new", 2), (b"old", 1)):
        write_adapter(bundled, weights)
        await registry.sync_bundled(store, personas, "smollm2")
        assert await aliases_of(registry, store) == {"champion": version}
    shipped = [event for event in await events_of(store) if event[0] == "shipped"]
    assert shipped == [
        ("shipped", 1, None, False, "bundled"),
        ("shipped", 2, 1, True, "bundled"),  # no gate was asked
        ("shipped", 1, 2, True, "bundled"),
    ]


async def test_a_changed_shipped_adapter_leaves_a_trained_champion_and_stays_what_a_rollback_returns_to(
    store, registry, personas, bundled, train
):
    write_adapter(bundled, b"old")
    await registry.sync_bundled(store, personas, "smollm2")
    await registry.promote(store, "zen", "smollm2", (await train(b"mine")).version, force=True, by="ann")
    write_adapter(bundled, b"new")
    await registry.sync_bundled(store, personas, "smollm2")
    assert await aliases_of(registry, store) == {"champion": 2, "previous": 3}
    assert (await registry.rollback(store, *ZEN, by="ann")).folder == bundled


async def test_shipping_what_was_trained_here_does_not_lose_the_trained_folder(
    store, registry, personas, bundled, train
):
    mine = await train(b"mine")
    await registry.promote(store, "zen", "smollm2", 1, force=True, by="ann")
    for weights in (b"mine", b"newer"):
        write_adapter(bundled, weights)
        await registry.sync_bundled(store, personas, "smollm2")
        assert (await champion_of(registry, store)).ref == mine.ref


@pytest.mark.parametrize("lineage", [b"{", b"[]", b"\xff"])
async def test_a_broken_lineage_is_a_sentence_in_the_log(store, registry, personas, bundled, lineage, caplog):
    write_adapter(bundled, b"shipped")
    (bundled / "lineage.json").write_bytes(lineage)
    await registry.sync_bundled(store, personas, "smollm2")
    assert await versions_of(registry, store) == []
    [sentence] = caplog.messages
    assert re.search(r"lineage\.json .*restore it, or delete it", sentence)


async def test_a_broken_folder_of_one_persona_keeps_nobody_elses_and_not_its_own_champion_from_answering(
    store, registry, personas, bundled, train, caplog
):
    write_adapter(bundled, b"shipped")
    (bundled / "adapter_model.safetensors").unlink()
    write_adapter(personas["codebeard"].adapter_folder("smollm2"), b"another")
    await registry.promote(store, *ZEN, (await train(b"mine")).version, force=True, by="ann")
    await registry.sync_bundled(store, personas, "smollm2")
    champions = [await champion_of(registry, store, slug) for slug in personas]
    assert [champion.ref.name for champion in champions] == ["zen@1", "codebeard@1"]
    assert [f"{bundled} is not registered" in message for message in caplog.messages] == [True]
