"""Old text goes by itself."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import pytest
from sqlalchemy import update

from bot.service.retention import DAY_S, FIRST_S, RETRY_S, keep_erasing
from bot.service.service import Service
from core.engine.echo_engine import EchoEngine
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange
from tests.examples.store import record_answered, sqlite_url
from tests.running.serving import echo_settings


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(sqlite_url(tmp_path / "personas.db", "?timeout=0.05"), create_or_upgrade=True)
    yield opened
    await opened.close()


async def record_days_ago(store: Store, days: float) -> str:
    async with store.write() as session:
        exchange_id = await record_answered(session)
        older = Exchange.finished_at - days * DAY_S
        await session.execute(update(Exchange).where(Exchange.id == exchange_id).values(finished_at=older))
    return exchange_id


async def has_text(store: Store, exchange_id: str) -> bool:
    async with store.write() as session:
        found = await exchanges.find(session, exchange_id)
    assert found is not None
    return found.prompt is not None


class Pauses:
    """Takes the place of waiting: notes how long each pause would be, and ends it when told."""

    def __init__(self) -> None:
        self.lengths_s: asyncio.Queue[float] = asyncio.Queue()
        self._ended = asyncio.Semaphore(0)

    async def __call__(self, length_s: float) -> None:
        self.lengths_s.put_nowait(length_s)
        await self._ended.acquire()

    def end(self) -> None:
        self._ended.release()


@pytest.fixture
async def erasing(store):
    """The loop over a store, with text kept for ten days; its pauses."""
    pauses = Pauses()
    task = asyncio.create_task(keep_erasing(store, keep_text_days=10, pause=pauses))
    assert await pauses.lengths_s.get() == FIRST_S
    pauses.end()
    yield pauses
    task.cancel()
    await asyncio.wait({task})


async def test_text_is_erased_when_it_is_old_enough_and_looked_for_every_day(store, erasing):
    assert await erasing.lengths_s.get() == DAY_S
    old, recent = await record_days_ago(store, 10.01), await record_days_ago(store, 9.99)
    erasing.end()
    assert await erasing.lengths_s.get() == DAY_S
    assert not await has_text(store, old)
    assert await has_text(store, recent)


async def test_a_store_out_of_order_is_tried_again_in_an_hour(store, erasing, tmp_path, caplog):
    assert await erasing.lengths_s.get() == DAY_S
    old = await record_days_ago(store, 11)
    other_program = sqlite3.connect(tmp_path / "personas.db", isolation_level=None)
    other_program.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING, logger="bot.service.retention"):
        erasing.end()
        assert await erasing.lengths_s.get() == RETRY_S
    assert "is locked by another program" in caplog.text
    other_program.close()
    erasing.end()
    assert await erasing.lengths_s.get() == DAY_S
    assert not await has_text(store, old)


async def test_a_running_service_erases_old_text_and_stops_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("bot.service.retention.FIRST_S", 0)
    settings = echo_settings(tmp_path, keep_text_days=1)
    service = await Service.open(settings, engine=EchoEngine())
    old = await record_days_ago(service.store, 2)
    await service.start()
    while await has_text(service.store, old):
        pass  # the store's own waiting lets the service work
    await service.stop()
