"""Adapters whose training ended before it could register them: opening the storage does."""

from __future__ import annotations

import json
import os

import pytest

from bot.service.storage import open_storage
from core.settings import Settings
from tests.examples.persona_folders import write_persona
from tests.examples.store import ZEN, aliases_of, versions_of, write_adapter


@pytest.fixture
def leave(tmp_path):
    """Leave a finished adapter of zen's behind, as a training that was killed before its registration does."""

    def write(weights: bytes, *, age_s: int = 0, **lineage):
        folder = write_adapter(tmp_path / "data" / "adapters" / "zen" / "smollm2" / weights.hex(), weights)
        path = folder / "lineage.json"
        path.write_text(json.dumps({"seed": 1, **lineage}), encoding="utf-8")
        os.utime(path, (1e9 - age_s, 1e9 - age_s))
        return folder

    return write


async def test_they_become_versions_in_their_order_and_only_once(store, registry, personas, leave):
    leave(b"newer")
    leave(b"older", age_s=60)
    for _ in range(2):
        await registry.sync_trained(store, personas, "smollm2")
        await registry.sync_trained(store, personas, "qwen")
        found = await versions_of(registry, store)
    assert [(each.folder.name, each.origin, each.lineage) for each in found] == [
        (b"older".hex(), "trained", {"seed": 1}),
        (b"newer".hex(), "trained", {"seed": 1}),
    ]
    assert await aliases_of(registry, store) == {"challenger": 2}


async def test_known_ones_keep_their_names(store, registry, personas, leave, bundled):
    leave(b"mine")
    write_adapter(bundled, b"mine")
    await registry.sync_bundled(store, personas, "smollm2")
    await registry.sync_trained(store, personas, "smollm2")
    assert await aliases_of(registry, store) == {"champion": 1}


async def test_what_is_not_finished_is_left_alone_and_what_is_broken_is_logged(
    store, registry, personas, leave, tmp_path, caplog
):
    folders = tmp_path / "data" / "adapters" / "zen" / "smollm2"
    leave(b"whole").rename(folders / ".partial-whole")
    write_adapter(folders / "without-lineage", b"half")
    (leave(b"broken") / "adapter_config.json").unlink()
    (leave(b"odd") / "lineage.json").write_text("[]", encoding="utf-8")
    await registry.sync_trained(store, personas, "smollm2")
    assert await versions_of(registry, store) == []
    assert len(caplog.messages) == 2
    assert "no readable adapter_config.json" in caplog.text
    assert "does not hold a JSON object" in caplog.text


async def test_an_adapter_that_is_measured_later_is_the_same_version_with_its_figures(store, registry, personas, leave):
    folder = leave(b"one")
    await registry.sync_trained(store, personas, "smollm2")
    lineage = {"seed": 1, "metrics": {"evaluation": {"perplexity_ratio": 0.5}}}
    await registry.register(store, persona="zen", base_slug="smollm2", folder=folder, lineage=lineage)
    [found] = await versions_of(registry, store)
    assert found.lineage == lineage


async def test_opening_the_storage_registers_them(tmp_path, leave):
    write_persona(tmp_path / "personas" / "zen")
    leave(b"one")
    settings = Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas")
    async with open_storage(settings) as storage, storage.store.read() as session:
        [found] = await storage.registry.versions(session, *ZEN)
    assert found.aliases == ("challenger",)
