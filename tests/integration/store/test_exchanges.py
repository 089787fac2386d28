"""The ledger."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from core.generation import SamplingOverrides, SamplingParams
from core.messages import ChatMessage, Quoted, Usage
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import insert
from core.store.models import Exchange
from tests.examples.store import new_exchange, not_null, record_answered, settle


async def test_an_exchange_keeps_everything_that_decides_its_reply(store):
    new = new_exchange(sampling=SamplingOverrides(temperature=0.5, stop=("\n\n",), seed=2**63 - 1))
    async with store.write() as session:
        assert await exchanges.record(session, new)
    async with store.write() as session:
        row = await exchanges.find(session, new.id)
    assert (row.status, row.source, row.user_id, row.model, row.base_model) == (
        "queued",
        "api",
        "ann",
        "codebeard",
        "smollm2",
    )
    assert row.adapters == [{"name": "codebeard@3", "content_hash": "ab" * 32, "weight": 1.0}]
    assert row.prompt == [{"role": "user", "content": "What is a stack?"}]
    assert row.seed == row.sampling["seed"] == 2**63 - 1
    assert (row.sampling["temperature"], row.sampling["stop"]) == (0.5, ["\n\n"])
    assert row.created_at > 0
    assert row.started_at is row.finished_at is row.reply is None


async def test_an_event_that_comes_twice_is_written_once(store):
    first, again, elsewhere = (new_exchange(event_id="e1", source=source) for source in ("slack", "slack", "discord"))
    async with store.write() as session:
        assert await exchanges.record(session, first)
        assert not await exchanges.record(session, again)
        assert await exchanges.record(session, elsewhere)
    async with store.write() as session:
        assert await exchanges.find(session, again.id) is None
        assert {row.id for row in await exchanges.unfinished(session)} == {first.id, elsewhere.id}


async def test_an_exchange_runs_is_requeued_runs_and_is_settled_once(store):
    new = new_exchange()
    async with store.write() as session:
        await exchanges.record(session, new)
        await exchanges.mark_running(session, new.id)
        assert (await exchanges.find(session, new.id)).started_at is not None
        await exchanges.requeue(session, new.id)
        row = await exchanges.find(session, new.id)
        assert (row.status, row.started_at) == ("queued", None)
        await exchanges.mark_running(session, new.id)
        assert await settle(session, new.id, usage=Usage(12, 5, 3))
        assert not await settle(session, new.id, status=JobStatus.FAILED, reply="late", error="late")
        row = await exchanges.find(session, new.id)
    assert (row.status, row.reply, row.finish_reason, row.error) == ("succeeded", "Arr, a stack.", "stop", None)
    assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (12, 5, 3)
    assert row.created_at <= row.started_at <= row.finished_at


@pytest.mark.parametrize("late", [exchanges.mark_running, exchanges.requeue])
async def test_a_settled_exchange_never_comes_back(store, late):
    async with store.write() as session:
        exchange_id = await record_answered(session)
        await late(session, exchange_id)
        assert (await exchanges.find(session, exchange_id)).status == "succeeded"


async def test_settling_an_unknown_exchange_changes_nothing(store):
    async with store.write() as session:
        assert not await settle(session, "chatcmpl-unknown")


async def test_where_the_prompt_may_not_be_kept_the_reply_is_not_either(store):
    async with store.write() as session:
        exchange_id = await record_answered(session, prompt=None)
    async with store.write() as session:
        row = await exchanges.find(session, exchange_id)
        stored = await session.execute(text("SELECT prompt IS NULL, reply IS NULL FROM exchanges"))
    assert (row.status, row.prompt, row.reply, row.completion_tokens) == ("succeeded", None, None, 5)
    assert stored.all() == [(1, 1)]


async def test_what_a_crash_left_is_found_oldest_first_and_failed_with_a_sentence(store):
    queued, running, elsewhere = new_exchange(), new_exchange(), new_exchange(source="terminal")
    async with store.write() as session:
        await exchanges.record(session, queued)
        done = await record_answered(session)
        await exchanges.record(session, running)
        await exchanges.mark_running(session, running.id)
        await exchanges.record(session, elsewhere)
    async with store.write() as session:
        assert [row.id for row in await exchanges.unfinished(session)] == [queued.id, running.id, elsewhere.id]
        assert await exchanges.fail_unfinished(session, "The server stopped.", source="api") == 2
        assert await exchanges.fail_unfinished(session, "The server stopped.", source="api") == 0
        assert [row.id for row in await exchanges.unfinished(session)] == [elsewhere.id]
    async with store.write() as session:
        rows = [await exchanges.find(session, key) for key in (queued.id, running.id, done)]
    assert [(row.status, row.error) for row in rows] == [("failed", "The server stopped.")] * 2 + [("succeeded", None)]


async def test_where_and_from_which_messages_a_prompt_comes_is_noted_once(store):
    quotes = (Quoted("c/1", "ann"), Quoted("c/2", ""), Quoted("c/1", "ann"))
    kept = new_exchange(places=("thread", "server", "thread"), quotes=quotes)
    held_back = new_exchange(places=("server",), quotes=quotes, prompt=None)
    async with store.write() as session:
        assert await exchanges.record(session, kept)
        assert await exchanges.record(session, held_back)
        assert not await exchanges.record(session, new_exchange(event_id=kept.event_id, places=("elsewhere",)))
    async with store.write() as session:
        where = await session.execute(text("SELECT exchange_id, place_id FROM exchange_places"))
        said = await session.execute(text("SELECT exchange_id, message_id, user_id FROM quotes"))
    assert sorted(where) == sorted([(kept.id, "server"), (kept.id, "thread"), (held_back.id, "server")])
    assert sorted(said) == [(kept.id, "c/1", "ann"), (kept.id, "c/2", "")]


async def test_where_text_may_not_be_kept_stop_strings_are_not_either(store):
    async with store.write() as session:
        exchange_id = await record_answered(
            session, prompt=None, sampling=SamplingOverrides(stop=("my secret",), seed=7)
        )
        row = await exchanges.find(session, exchange_id)
    assert (row.sampling["stop"], row.sampling["seed"]) == ([], 7)


async def test_the_schema_refuses_an_exchange_without_a_seed(store):
    with pytest.raises(IntegrityError, match=not_null("exchanges", "seed")):
        async with store.write() as session:
            await exchanges.record(session, new_exchange(sampling=SamplingOverrides()))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"adapters": None}, not_null("exchanges", "adapters")),
        ({"sampling": None}, not_null("exchanges", "sampling")),
        ({"source": None}, not_null("exchanges", "source")),
        ({"model": ""}, "ck_exchanges_model_named"),
        ({"base_model": ""}, "ck_exchanges_model_named"),
        ({"status": "done", "finished_at": 1.0}, "ck_exchanges_status_known"),
        ({"status": "succeeded"}, "ck_exchanges_finished_when_final"),
        ({"finished_at": 1.0}, "ck_exchanges_finished_when_final"),
    ],
)
async def test_the_schema_refuses_an_exchange_that_hides_what_made_it(store, values, rule):
    new = new_exchange()
    async with store.write() as session:
        await exchanges.record(session, new)
    with pytest.raises(IntegrityError, match=rule):
        async with store.write() as session:
            await session.execute(update(Exchange).where(Exchange.id == new.id).values(**values))


async def test_the_schema_refuses_a_reply_whose_text_may_not_be_kept(store):
    async with store.write() as session:
        exchange_id = await record_answered(session, prompt=None)
    with pytest.raises(IntegrityError, match="ck_exchanges_text_kept_whole"):
        async with store.write() as session:
            await session.execute(update(Exchange).where(Exchange.id == exchange_id).values(reply="secret"))


async def test_the_schema_refuses_the_same_event_twice(store):
    async with store.write() as session:
        await exchanges.record(session, new_exchange(event_id="e1"))
        row = (await exchanges.unfinished(session))[0]
        values = {column.key: getattr(row, column.key) for column in Exchange.__table__.columns}
    with pytest.raises(IntegrityError, match=r"(?i)unique constraint"):
        async with store.write() as session:
            await session.execute(insert(session, Exchange).values(**values | {"id": "chatcmpl-other"}))


@pytest.mark.parametrize(("prompt", "stop"), [((ChatMessage("user", "hi"),), ["x"]), (None, [])])
async def test_a_settlement_notes_every_parameter_that_was_used_and_stop_strings_only_with_the_prompt(
    store, prompt, stop
):
    used = SamplingParams(max_new_tokens=9, temperature=0.6, top_p=0.9, stop=("x",), seed=7)
    async with store.write() as session:
        new = new_exchange(prompt=prompt, sampling=SamplingOverrides(temperature=0.6, stop=("x",), seed=7))
        await exchanges.record(session, new)
        assert (await exchanges.find(session, new.id)).sampling.keys() == {"temperature", "stop", "seed"}
        await settle(session, new.id, sampling=used)
        assert (await exchanges.find(session, new.id)).sampling == asdict(used) | {"stop": stop}
