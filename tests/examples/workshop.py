"""A worker with its real queue and real store around the echo engine, for tests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.engine.echo_engine import EchoEngine
from core.generation import SamplingOverrides
from core.messages import ChatMessage, ReplyChunk
from core.queue.jobs import ReplyJob
from core.queue.memory import MemoryJobQueue
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange
from core.worker.worker import Worker
from tests.examples.store import new_exchange, sqlite_url
from tests.running.databases import place_database


@dataclass
class Workshop:
    """`ask` does what a responder does: ledger first, then the queue."""

    store: Store
    engine: EchoEngine
    queue: MemoryJobQueue
    worker: Worker
    database: Path
    running: asyncio.Task[None] | None = None
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        self.running = asyncio.create_task(self.worker.run())

    async def drain(self, timeout_s: float | None = None) -> None:
        await self.worker.drain(timeout_s)
        if self.running is not None:
            await self.running

    async def ask(self, text: str, *, conversation: str | None = None, **job: Any) -> str:
        """Queue a message; the id of its exchange."""
        values: dict[str, Any] = {
            "messages": (ChatMessage("user", text),),
            "sampling": SamplingOverrides(seed=1),
            "enqueued_at": time.time(),
        }
        conversation = conversation or f"conversation {next(self.numbers)}"
        new = new_exchange(conversation_id=conversation, base_model="echo", adapters=())
        async with self.store.write() as session:
            await exchanges.record(session, new)
        await self.queue.enqueue(ReplyJob(new.id, conversation, **(values | job)))
        return new.id

    async def read(self, exchange_id: str) -> list[ReplyChunk]:
        return [update async for update in self.queue.updates(exchange_id) if isinstance(update, ReplyChunk)]

    async def row(self, exchange_id: str) -> Exchange:
        async with self.store.read() as session:
            row = await exchanges.find(session, exchange_id)
        assert row is not None
        return row


@asynccontextmanager
async def open_workshop(
    folder: Path,
    *,
    engine: EchoEngine | None = None,
    is_started: bool = True,
    is_engine_started: bool = True,
    drain_timeout_s: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Workshop]:
    database = folder / "personas.db"
    place_database(database)
    store = await Store.open(sqlite_url(database), create_or_upgrade=False)
    engine = engine or EchoEngine(slots=2)
    if is_engine_started:
        await engine.start()
    queue = MemoryJobQueue(32, per_person=32, clock=clock)
    workshop = Workshop(store, engine, queue, Worker(queue, engine, store, drain_timeout_s=drain_timeout_s), database)
    if is_started:
        workshop.start()
    try:
        yield workshop
    finally:
        engine.gate.open()
        await workshop.drain()
        await queue.close()
        await engine.close()
        await store.close()


def text_of(chunks: list[ReplyChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)
