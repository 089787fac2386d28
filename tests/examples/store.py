"""Exchanges and adapter folders for tests of the store and the registry."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from core.adapters.registry import RegisteredAdapter, Registry
from core.generation import AdapterRef, SamplingOverrides, WeightedAdapter
from core.messages import ChatMessage, Usage
from core.personas import Persona, PersonaFile
from core.queue.jobs import JobStatus
from core.store import adapter_versions, exchanges
from core.store.db import Store
from core.store.exchanges import NewExchange, new_exchange_id
from core.store.schema import alembic_config

ZEN = ("zen", "smollm2")
CODEBEARD_3 = WeightedAdapter(AdapterRef("codebeard@3", "ab" * 32), 1.0)


def sqlite_url(path: Path, query: str = "") -> str:
    return f"sqlite+aiosqlite:///{path}{query}"


def not_null(table: str, column: str) -> str:
    """What SQLite or PostgreSQL says of a column that must not be empty, as a pattern."""
    return rf'NOT NULL constraint failed: {table}\.{column}|null value in column "{column}"'


async def migrate(engine: AsyncEngine, run: Callable[[Config, str], None], revision: str) -> None:
    """Run Alembic's upgrade or downgrade on this engine."""

    def on(connection: Connection) -> None:
        config = alembic_config()
        config.attributes["connection"] = connection
        run(config, revision)

    async with engine.begin() as connection:
        await connection.run_sync(on)


def new_exchange(**changes: Any) -> NewExchange:
    values: dict[str, Any] = {
        "id": new_exchange_id(),
        "source": "api",
        "event_id": uuid.uuid4().hex,
        "conversation_id": "api:1",
        "user_id": "ann",
        "model": "codebeard",
        "base_model": "smollm2",
        "adapters": (CODEBEARD_3,),
        "prompt": (ChatMessage("user", "What is a stack?"),),
        "sampling": SamplingOverrides(temperature=0.7, seed=7),
    }
    return NewExchange(**values | changes)


async def record_answered(session: AsyncSession, **changes: Any) -> str:
    """A finished exchange; its id."""
    new = new_exchange(**changes)
    assert await exchanges.record(session, new)
    assert await settle(session, new.id)
    return new.id


async def settle(session: AsyncSession, exchange_id: str, **changes: Any) -> bool:
    values: dict[str, Any] = {
        "status": JobStatus.SUCCEEDED,
        "reply": "Arr, a stack.",
        "finish_reason": "stop",
        "usage": Usage(12, 5, 3),
        "error": None,
    }
    return await exchanges.settle(session, exchange_id, **values | changes)


def write_adapter(folder: Path, weights: bytes) -> Path:
    """The two files that make an adapter's content; the registry hashes them and reads neither."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text('{"r": 16}', encoding="utf-8")
    return folder


def persona(folder: Path) -> Persona:
    return Persona(folder.name, folder, PersonaFile(name="P", description="d", greeting="hi"), "You are P.")


async def aliases_of(registry: Registry, store: Store) -> dict[str, int]:
    """Where zen's aliases point."""
    async with store.read() as session:
        return {alias: v.version for v in await registry.versions(session, *ZEN) for alias in v.aliases}


async def events_of(store: Store) -> list[tuple[Any, ...]]:
    """What happened to zen's versions: kind, version, former champion, was it forced, by whom."""
    async with store.read() as session:
        found = await adapter_versions.events(session, *ZEN)
    return [(event.kind, event.version, event.former_champion, event.is_forced, event.actor) for event in found]


async def versions_of(registry: Registry, store: Store, base: str = "smollm2") -> list[RegisteredAdapter]:
    """Zen's versions for a base model."""
    async with store.read() as session:
        return await registry.versions(session, "zen", base)


async def champion_of(registry: Registry, store: Store, persona: str = "zen") -> RegisteredAdapter | None:
    """Who answers for a persona on the default model."""
    async with store.read() as session:
        return await registry.champion(session, persona, "smollm2")
