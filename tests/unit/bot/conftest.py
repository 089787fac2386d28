from __future__ import annotations

import pytest

from bot.chat.responder import Responder
from core.adapters.registry import Registry
from core.personas import load_personas
from core.queue.memory import MemoryJobQueue
from core.store.db import Store
from tests.examples.responder import write_persona
from tests.examples.store import sqlite_url, write_adapter
from tests.running.databases import place_database


@pytest.fixture
async def store(tmp_path):
    place_database(tmp_path / "personas.db")
    opened = await Store.open(sqlite_url(tmp_path / "personas.db"), create_or_upgrade=False)
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path):
    write_persona(tmp_path / "personas", "zen", "temperature = 0.2")
    write_persona(tmp_path / "personas", "noir", "temperature = 1.1\ntop_k = 40")
    write_persona(tmp_path / "personas", "mute")  # has no adapter
    return tmp_path


@pytest.fixture
async def registry(folder, store):
    registry = Registry(folder / "personas", folder / "adapters")
    for slug in ("zen", "noir"):
        adapter = write_adapter(folder / "adapters" / slug / "1", slug.encode())
        await registry.register(store, persona=slug, base_slug="smollm2", folder=adapter, lineage={})
        await registry.promote(store, slug, "smollm2", 1, force=True, by="test")
    return registry


@pytest.fixture
def queue():
    return MemoryJobQueue(2, per_person=2)


@pytest.fixture
def responder(folder, store, registry, queue):
    return Responder(
        personas=load_personas(folder / "personas"),
        store=store,
        registry=registry,
        queue=queue,
        base_model_slug="smollm2",
        max_new_tokens=99,
        default_persona="zen",
        reply_timeout_s=60,
    )
