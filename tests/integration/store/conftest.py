"""A real store, a registry on real folders, and a way to train without training."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from core.adapters.registry import Registry
from core.store.db import Store
from tests.examples.store import persona, sqlite_url, write_adapter
from tests.running.databases import place_database
from tests.running.postgres import URL, empty_postgres, migrated_postgres

LOCK_TIMEOUT = "?timeout=0.05"


@pytest.fixture(params=["sqlite"] if URL is None else ["sqlite", "postgresql"])
def database(request):
    return request.param


@pytest.fixture
async def url(database, tmp_path):
    """An empty database: a file, whose users give up on a lock after 50 ms, or a server's."""
    return await empty_postgres() if database == "postgresql" else sqlite_url(tmp_path / "personas.db", LOCK_TIMEOUT)


@pytest.fixture
async def store(database, tmp_path):
    """An open, migrated database without a row."""
    if database == "postgresql":
        url = await migrated_postgres()
    else:
        place_database(tmp_path / "personas.db")
        url = sqlite_url(tmp_path / "personas.db", LOCK_TIMEOUT)
    store = await Store.open(url, create_or_upgrade=False)
    yield store
    await store.close()


@pytest.fixture
def bundled(tmp_path):
    """Where zen ships its adapter for the default model."""
    return tmp_path / "personas" / "zen" / "adapters" / "smollm2"


@pytest.fixture
def personas(tmp_path):
    return {slug: persona(tmp_path / "personas" / slug) for slug in ("zen", "codebeard")}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "personas", tmp_path / "data" / "adapters")


@pytest.fixture
def train(tmp_path, registry, store):
    """Register zen weights as if they had just been trained."""

    async def register(weights: bytes, name: str | None = None):
        folder = write_adapter(tmp_path / "data" / "adapters" / "zen" / (name or weights.hex()), weights)
        return await registry.register(
            store, persona="zen", base_slug="smollm2", folder=folder, lineage={"seed": 1, "data": "ab"}
        )

    return register


@pytest.fixture
def statements():
    """What a session says to the database while this is entered."""

    @contextmanager
    def noted(session):
        asked = []

        def note(_connection, _cursor, statement, *_rest) -> None:
            asked.append(statement)

        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", note)
        yield asked
        event.remove(engine, "before_cursor_execute", note)

    return noted
