"""A withdrawal beside a transaction that keeps text on the strength of a consent, in either order."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from core.messages import Quoted
from core.store import consent, exchanges
from core.store.db import Store
from tests.examples.store import new_exchange

ROUND_TRIPS = 100  # far more than a withdrawal takes, if nothing holds it up


async def withdraw(store: Store) -> None:
    async with store.write() as session:
        await consent.withdraw(session, "ann")


async def test_a_withdrawal_waits_for_the_text_that_is_being_kept_and_erases_it(store: Store):
    new = new_exchange(user_id="ann", quotes=(Quoted("c/1", "ann"),))
    async with store.write() as session:
        await consent.give(session, "ann", source="discord")
    async with store.write() as session:
        assert await consent.all_have(session, ["ann"])
        withdrawing = asyncio.create_task(withdraw(store))
        for _ in range(ROUND_TRIPS):
            await session.execute(text("SELECT 1"))
        assert await exchanges.record(session, new)
    await withdrawing
    async with store.write() as session:
        found = await exchanges.find(session, new.id)
    assert found is not None
    assert found.prompt is None


async def test_who_asks_for_a_consent_while_it_is_withdrawn_is_told_that_there_is_none(store: Store):
    async with store.write() as session:
        await consent.give(session, "ann", source="discord")

    async def ask() -> bool:
        async with store.write() as session:
            return await consent.all_have(session, ["ann"])

    async with store.write() as session:
        await consent.withdraw(session, "ann")
        asking = asyncio.create_task(ask())
        for _ in range(ROUND_TRIPS):
            await session.execute(text("SELECT 1"))
        assert not asking.done()
    assert not await asking
