"""The messages that show a reply, and what a crash leaves of them."""

from __future__ import annotations

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from core.errors import NotFound
from core.messages import Quoted
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.models import Delivery
from tests.examples.store import new_exchange, not_null, record_answered, settle


async def test_a_reply_is_found_by_any_message_that_shows_it(store):
    async with store.write() as session:
        exchange_id = await record_answered(session, source="slack")
        for message_id in ("C1:1.0", "C1:2.0", "C1:1.0"):
            await exchanges.add_delivery(session, exchange_id, message_id)
    async with store.write() as session:
        assert (await exchanges.find_by_delivery(session, "slack", "C1:2.0")).id == exchange_id
        assert await exchanges.find_by_delivery(session, "discord", "C1:2.0") is None
        assert await exchanges.find_by_delivery(session, "slack", "C1:3.0") is None
        with pytest.raises(NotFound, match='no exchange "chatcmpl-unknown"'):
            await exchanges.add_delivery(session, "chatcmpl-unknown", "C1:3.0")


async def test_pages_come_in_their_order_and_go_one_by_one(store):
    async with store.write() as session:
        exchange_id = await record_answered(session, source="discord")
        for position in (2, 0, 1):
            await exchanges.add_delivery(session, exchange_id, f"c/{position}", position=position)
        assert [page.message_id for page in await exchanges.deliveries_of(session, exchange_id)] == [
            "c/0",
            "c/1",
            "c/2",
        ]
        for _ in range(2):
            await exchanges.remove_delivery(session, "discord", "c/1")
        await exchanges.remove_delivery(session, "slack", "c/0")
        assert [page.message_id for page in await exchanges.deliveries_of(session, exchange_id)] == ["c/0", "c/2"]


async def test_a_message_shows_the_reply_that_was_noted_last(store):
    async with store.write() as session:
        first = await record_answered(session, source="discord")
        second = await record_answered(session, source="discord", variant_of=first)
        await exchanges.add_delivery(session, first, "c/1")
        (before,) = await exchanges.deliveries_of(session, first)
        posted_at = before.created_at
        await exchanges.add_delivery(session, second, "c/1", is_final=False, token="secret")
        assert (await exchanges.find_by_delivery(session, "discord", "c/1")).id == second
        assert await exchanges.deliveries_of(session, first) == []
        (after,) = await exchanges.deliveries_of(session, second)
        assert (after.is_final, after.token, after.created_at) == (False, "secret", posted_at)


async def test_a_token_is_kept_only_while_its_message_still_changes(store):
    async with store.write() as session:
        exchange_id = await record_answered(session)
        await exchanges.add_delivery(session, exchange_id, "c/0", is_final=False, token="secret")
        await exchanges.add_delivery(session, exchange_id, "c/1", position=1, is_final=True, token="secret")
        assert [page.token for page in await exchanges.deliveries_of(session, exchange_id)] == ["secret", None]
        await exchanges.finish_deliveries(session, exchange_id)
        found = [(page.is_final, page.token) for page in await exchanges.deliveries_of(session, exchange_id)]
        assert found == [(True, None), (True, None)]


async def test_what_a_crash_left_on_the_screen_is_what_has_ended_and_is_not_final(store):
    async with store.write() as session:
        shown = await record_answered(session, source="discord")
        await exchanges.add_delivery(session, shown, "c/1")
        elsewhere = await record_answered(session, source="slack")
        await exchanges.add_delivery(session, elsewhere, "c/2", is_final=False)
        crashed, running = new_exchange(source="discord"), new_exchange(source="discord")
        for number, new in enumerate((crashed, running)):
            await exchanges.record(session, new)
            for position in (1, 0):
                await exchanges.add_delivery(
                    session, new.id, f"c/{number}{position}", position=position, is_final=False, token="secret"
                )
        await settle(session, crashed.id, status=JobStatus.FAILED, error="The program ended.")
    async with store.write() as session:
        ((exchange, pages),) = await exchanges.undelivered(session, "discord")
        assert (exchange.id, exchange.error) == (crashed.id, "The program ended.")
        assert [(page.message_id, page.token) for page in pages] == [("c/00", "secret"), ("c/01", "secret")]
        await exchanges.finish_deliveries(session, crashed.id)
        assert await exchanges.undelivered(session, "discord") == []


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"token": "secret"}, "ck_deliveries_token_erased_when_final"),
        ({"exchange_id": "chatcmpl-unknown"}, "(?i)foreign key constraint"),
        ({"position": None}, not_null("deliveries", "position")),
    ],
)
async def test_the_schema_refuses_a_delivery_that_shows_nothing_or_keeps_its_token(store, values, rule):
    async with store.write() as session:
        await exchanges.add_delivery(session, await record_answered(session), "c/1")
    with pytest.raises(IntegrityError, match=rule):
        async with store.write() as session:
            await session.execute(update(Delivery).values(**values))


async def test_the_schema_refuses_the_same_message_twice(store):
    async with store.write() as session:
        await exchanges.add_delivery(session, await record_answered(session), "c/1")
    with pytest.raises(IntegrityError, match=r"(?i)unique constraint"):
        async with store.write() as session:
            await session.execute(text("INSERT INTO deliveries SELECT * FROM deliveries"))


async def test_what_was_posted_lately_comes_with_its_question_the_newest_first(store):
    async with store.write() as session:
        asked = await record_answered(session, source="discord", question_id="c/1", quotes=(Quoted("c/0", "ann"),))
        by_command = await record_answered(session, source="discord", quotes=(Quoted("d/9", "bob"),))
        elsewhere = await record_answered(session, source="slack", quotes=(Quoted("s/9", "bob"),))
        for exchange_id, key, position in (
            (asked, "c/2", 0),
            (asked, "c/3", 1),
            (by_command, "d/4", 0),
            (by_command, "d/5", -1),
            (elsewhere, "s/1", 0),
        ):
            await exchanges.add_delivery(session, exchange_id, key, position=position)
        for age_s, key in enumerate(("d/5", "d/4", "c/3", "c/2")):
            posted = update(Delivery).where(Delivery.message_id == key).values(created_at=100.0 - age_s)
            await session.execute(posted)
        newest = [("d/4", by_command, ""), ("c/3", asked, "c/1"), ("c/2", asked, "c/1")]
        assert await exchanges.shown_since(session, "discord", since=0.0, limit=9) == newest
        assert await exchanges.shown_since(session, "discord", since=97.5, limit=9) == newest[:2]
        assert await exchanges.shown_since(session, "discord", since=0.0, limit=1) == newest[:1]
        assert await exchanges.quoted_since(session, "discord", since=0.0) == {"c/0", "d/9"}
        assert await exchanges.quoted_since(session, "discord", since=98.5) == {"d/9"}
