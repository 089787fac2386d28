"""`Store.read` and `Store.write`: who waits for whom, and who may write."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import StoreUnavailable
from core.store import exchanges, places, sessions
from core.store.db import Store
from tests.examples.store import new_exchange

ONLY_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


async def model_of(store: Store, place_id: str) -> str | None:
    async with asyncio.timeout(5), store.read() as session:
        return await places.model_of(session, place_id)


async def choose(store: Store, model: str) -> None:
    async with store.write() as session:
        await places.set_model(session, "c", source="api", model=model)


async def test_reads_run_side_by_side_and_beside_a_write_whose_changes_they_do_not_see(store):
    await choose(store, "zen")
    async with store.read() as first, store.read() as second, store.write() as writing:
        await places.set_model(writing, "c", source="api", model="noir")
        assert await places.model_of(first, "c") == await places.model_of(second, "c") == "zen"
        assert await model_of(store, "c") == "zen"
    assert await model_of(store, "c") == "noir"


async def test_a_read_sees_one_moment_of_the_database(store):
    await choose(store, "zen")
    async with store.read() as session:
        assert await places.model_of(session, "c") == "zen"
        await choose(store, "noir")
        assert await places.model_of(session, "c") == "zen"


@ONLY_SQLITE
async def test_a_read_waits_for_no_writer_in_another_process(store, tmp_path):
    other = sqlite3.connect(tmp_path / "personas.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert await model_of(store, "c") is None
    other.close()


async def test_who_writes_while_reading_is_told_loudly_and_writes_nothing(store):
    with pytest.raises(DBAPIError, match=r"readonly database|read-only transaction"):
        async with store.read() as session:
            await exchanges.record(session, new_exchange())
    async with store.read() as session:
        assert await exchanges.unfinished(session) == []
    await choose(store, "zen")


async def test_who_reads_after_a_write_reads_what_was_written(store):
    for model in ("zen", "noir", "nana"):
        await choose(store, model)
        assert await model_of(store, "c") == model


@ONLY_SQLITE
async def test_writes_take_turns_in_the_order_they_came(store):
    order = []

    async def write(number: int) -> None:
        async with store.write() as session:
            await session.execute(text("SELECT 1"))
            order.append(number)

    await asyncio.gather(*(write(number) for number in range(20)))
    assert order == list(range(20))


@ONLY_SQLITE
async def test_who_waits_too_long_for_a_turn_is_told_so(store, monkeypatch):
    monkeypatch.setattr(sessions, "TURN_TIMEOUT_S", 0.01)
    async with store.write():
        with pytest.raises(StoreUnavailable, match=r"personas\.db is too busy; try again"):
            await choose(store, "zen")
    await choose(store, "zen")


def test_every_call_of_a_session_runs_to_its_end():
    calls = {name for name, call in vars(AsyncSession).items() if inspect.iscoroutinefunction(call)}
    assert calls >= {"execute", "scalar", "scalars", "get", "merge", "flush", "connection", "commit", "close"}
    assert calls <= vars(sessions.UncutSession).keys()
