"""Thumbs: never lost, never counted twice."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.errors import InvalidInput, NotFound
from core.generation import AdapterRef, WeightedAdapter
from core.queue.jobs import JobStatus
from core.store import data_rights, exchanges, feedback
from tests.examples.store import new_exchange, not_null, record_answered, settle

PEOPLE = st.sampled_from(["ann", "bob", "cem", "Ann", ""])
VOTES = st.lists(st.tuples(PEOPLE, st.sampled_from([True, False, None])), max_size=12)


async def judge(session, exchange_id: str, user_id: str, label: bool | None) -> None:
    await feedback.record(session, exchange_id=exchange_id, user_id=user_id, label=label, source="discord")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(votes=VOTES)
async def test_after_any_votes_and_removals_exactly_the_latest_of_each_person_counts(store, votes):
    # The store outlives the examples, so each has an exchange and a base model of its own.
    new = new_exchange()
    async with store.write() as session:
        exchange_id = await record_answered(session, id=new.id, base_model=new.id)
    for user_id, label in votes:
        async with store.write() as session:
            await judge(session, exchange_id, user_id, label)
    latest = {user_id: label for user_id, label in dict(votes).items() if label is not None}
    async with store.write() as session:
        rows = await feedback.of_exchanges(session, exchange_id)
        tallies = await feedback.tally(session, base_model=new.id)
    assert {row.user_id: row.label for row in rows} == latest
    assert len(rows) == len(latest)
    labels = list(latest.values())
    assert [(tally.up, tally.down) for tally in tallies] == (
        [(labels.count(True), labels.count(False))] if labels else []
    )


async def test_a_changed_mind_is_seen_within_the_same_session(store):
    async with store.write() as session:
        exchange_id = await record_answered(session)
        await judge(session, exchange_id, "ann", True)
        (before,) = await feedback.of_exchanges(session, exchange_id)
        assert before.label is True
        await judge(session, exchange_id, "ann", False)
        (after,) = await feedback.of_exchanges(session, exchange_id)
        assert after.label is False


async def test_thumbs_are_tallied_per_model_and_adapter_versions(store):
    newer = (WeightedAdapter(AdapterRef("codebeard@4", "cd" * 32), 1.0),)
    async with store.write() as session:
        old = [await record_answered(session) for _ in range(2)]
        new = await record_answered(session, adapters=newer)
        held_back = await record_answered(session, adapters=newer, prompt=None)
        base = await record_answered(session, model="base", adapters=(), base_model="qwen")
        await record_answered(session, model="zen")
        for exchange_id in old:
            await judge(session, exchange_id, "ann", True)
            await judge(session, exchange_id, "bob", False)
        await judge(session, new, "ann", True)
        await judge(session, held_back, "ann", False)
        await judge(session, base, "ann", True)
    async with store.write() as session:
        found = [
            (t.model, t.base_model, [a["name"] for a in t.adapters], t.up, t.down)
            for t in await feedback.tally(session)
        ]
        on_smollm2 = await feedback.tally(session, base_model="smollm2")
    assert found == [
        ("base", "qwen", [], 1, 0),
        ("codebeard", "smollm2", ["codebeard@3"], 2, 2),
        ("codebeard", "smollm2", ["codebeard@4"], 1, 1),
    ]
    assert [tally.base_model for tally in on_smollm2] == ["smollm2", "smollm2"]


@pytest.mark.parametrize("label", [True, None])
async def test_an_unknown_reply_cannot_be_judged(store, label):
    with pytest.raises(NotFound, match='no reply "chatcmpl-unknown"; give the id'):
        async with store.write() as session:
            await judge(session, "chatcmpl-unknown", "ann", label)


@pytest.mark.parametrize("status", [None, JobStatus.FAILED, JobStatus.CANCELLED])
async def test_a_reply_that_is_not_finished_cannot_be_judged(store, status):
    new = new_exchange()
    async with store.write() as session:
        await exchanges.record(session, new)
        if status is not None:
            await settle(session, new.id, status=status)
    with pytest.raises(InvalidInput, match=f"is {status or 'queued'}; only a finished reply can be judged"):
        async with store.write() as session:
            await judge(session, new.id, "ann", True)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("INSERT INTO feedback SELECT exchange_id, user_id, FALSE, source, 2 FROM feedback", "(?i)unique constraint"),
        ("DELETE FROM exchanges", "(?i)foreign key constraint"),
        ("UPDATE feedback SET exchange_id = 'chatcmpl-unknown'", "(?i)foreign key constraint"),
        ("UPDATE feedback SET label = NULL", not_null("feedback", "label")),
    ],
)
async def test_the_schema_refuses_lost_doubled_or_unclear_feedback(store, statement, rule):
    async with store.write() as session:
        await judge(session, await record_answered(session), "ann", True)
    with pytest.raises(IntegrityError, match=rule):
        async with store.write() as session:
            await session.execute(text(statement))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_nor_a_label_that_is_neither_up_nor_down_where_a_truth_value_is_a_number(store):
    async with store.write() as session:
        await judge(session, await record_answered(session), "ann", True)
    with pytest.raises(IntegrityError, match="CHECK constraint failed: ck_feedback_label"):
        async with store.write() as session:
            await session.execute(text("UPDATE feedback SET label = 2"))


async def test_a_thumb_that_is_not_the_latest_leaves_the_one_that_is_there(store):
    async with store.write() as session:
        exchange_id = await record_answered(session)
        for user_id, label in (("ann", True), ("bob", False), ("ann", False)):
            await feedback.record(
                session, exchange_id=exchange_id, user_id=user_id, label=label, source="discord", is_latest=False
            )
        rows = await feedback.of_exchanges(session, exchange_id)
        assert [(row.user_id, row.label) for row in rows] == [("ann", True), ("bob", False)]


async def test_thumbs_are_void_where_somebody_was_forgotten_or_took_theirs_back_and_not_where_they_are_gone(store):
    async with store.write() as session:
        forgotten, taken_back, gone, untouched = [await record_answered(session) for _ in range(4)]
        for exchange_id in (forgotten, taken_back, gone, untouched):
            await judge(session, exchange_id, "bob", True)
        await judge(session, forgotten, "ann", True)
        await judge(session, taken_back, "ann", None)
        await feedback.remove(session, exchange_id=gone, user_id="bob")
        for _ in range(2):
            await data_rights.forget(session, "ann")
        found = [
            one for one in (forgotten, taken_back, gone, untouched) if await feedback.has_void_thumbs(session, [one])
        ]
        assert found == [forgotten, taken_back]
        assert await feedback.has_void_thumbs(session, [gone, forgotten])
        assert not await feedback.has_void_thumbs(session, [])


async def test_what_was_judged_from_a_source_is_found_by_any_of_its_variants(store):
    async with store.write() as session:
        first = await record_answered(session)
        second, third = [await record_answered(session, variant_of=first) for _ in range(2)]
        other, silent = [await record_answered(session) for _ in range(2)]
        await judge(session, second, "ann", True)
        await feedback.record(session, exchange_id=other, user_id="ann", label=True, source="api")
        every = [first, second, third, other, silent]
        assert await feedback.judged_from(session, "discord", every) == {first, second, third}
        assert await feedback.judged_from(session, "api", every) == {other}
        assert await feedback.judged_from(session, "discord", []) == set()
