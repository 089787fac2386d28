"""What waits for company is written with the next transaction, alone after a while, or when the store closes."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from core.errors import StoreUnavailable
from core.store import exchanges
from core.store.db import Store
from tests.examples.store import new_exchange, record_answered
from tests.running.patience import TIMEOUT_S


@pytest.fixture
async def shown(store):
    """An answered exchange whose message is noted as one that still changes."""
    async with store.write() as session:
        answered = await record_answered(session)
        await exchanges.add_delivery(session, answered, "m1", is_final=False)
    return answered


async def is_final(store: Store, exchange_id: str) -> bool:
    async with store.read() as session:
        [delivery] = await exchanges.deliveries_of(session, exchange_id)
    return delivery.is_final


async def until_final(store: Store, exchange_id: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not await is_final(store, exchange_id):  # noqa: ASYNC110 - a database sets no event
            await asyncio.sleep(0.01)


def finish(exchange_id: str):
    return partial(exchanges.finish_deliveries, exchange_id=exchange_id)


async def test_a_change_rides_with_the_next_write(store, shown):
    store.write_soon(finish(shown))
    assert not await is_final(store, shown)
    async with store.write() as session:
        await exchanges.record(session, new_exchange())
    assert await is_final(store, shown)


async def test_what_the_next_write_says_itself_comes_after_what_waited(store, shown):
    store.write_soon(finish(shown))
    async with store.write() as session:
        await exchanges.add_delivery(session, shown, "m1", is_final=False)
    assert not await is_final(store, shown)


async def test_a_change_goes_alone_when_nobody_else_writes(store, shown, monkeypatch):
    monkeypatch.setattr(store._deferred, "_longest_wait_s", 0.01)
    store.write_soon(finish(shown))
    await until_final(store, shown)


async def test_a_flush_returns_once_what_rides_with_another_write_is_written(store, shown):
    store.write_soon(finish(shown))
    async with store.write():
        flushing = asyncio.create_task(store.flush())
        await asyncio.sleep(0.05)
        assert not flushing.done()
    await flushing
    assert await is_final(store, shown)


async def test_a_change_waits_on_when_the_write_it_rides_with_fails(store, shown):
    store.write_soon(finish(shown))
    with pytest.raises(ZeroDivisionError):
        async with store.write():
            raise ZeroDivisionError
    assert not await is_final(store, shown)
    async with store.write():
        pass
    assert await is_final(store, shown)


async def test_a_change_waits_while_the_database_is_out_of_reach(store, shown, monkeypatch, caplog):
    monkeypatch.setattr(store._deferred, "_longest_wait_s", 0.01)
    tries, is_written = 0, asyncio.Event()

    async def fail_twice(session) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailable("The database is locked; try again.")
        is_written.set()

    store.write_soon(fail_twice)
    await asyncio.wait_for(is_written.wait(), TIMEOUT_S)
    assert "not written yet: The database is locked" in caplog.text


async def test_a_store_that_closes_writes_what_waits(url):
    store = await Store.open(url, create_or_upgrade=True)
    async with store.write() as session:
        answered = await record_answered(session)
        await exchanges.add_delivery(session, answered, "m1", is_final=False)
    store.write_soon(finish(answered))
    await asyncio.sleep(0)
    await store.close()

    store = await Store.open(url, create_or_upgrade=False)
    assert await is_final(store, answered)
    await store.close()
