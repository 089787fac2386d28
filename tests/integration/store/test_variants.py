"""Several replies to one question, and which of them a person picked."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.errors import InvalidInput, NotFound
from core.queue.jobs import JobStatus
from core.store import exchanges, preferences
from tests.examples.store import new_exchange, record_answered, settle

PICKS = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(0, 2)), max_size=8)


async def record_variants(session, count: int = 3) -> list[str]:
    """Finished replies to one question, each asked for as a variant of the one before."""
    found: list[str] = []
    for _ in range(count):
        found.append(await record_answered(session, variant_of=found[-1] if found else None, question_id="c/1"))
    return found


async def test_variants_are_one_group_whichever_of_them_is_named(store):
    async with store.write() as session:
        group = await record_variants(session)
        await record_answered(session)
        for member in group:
            assert [variant.id for variant in await exchanges.variants(session, member)] == group
        assert [variant.variant_of for variant in await exchanges.variants(session, group[0])] == [
            None,
            group[0],
            group[0],
        ]
        assert await exchanges.variants(session, "chatcmpl-unknown") == []


async def test_a_variant_of_an_unknown_reply_is_refused(store):
    async with store.write() as session:
        with pytest.raises(NotFound, match='no reply "chatcmpl-unknown"'):
            await exchanges.record(session, new_exchange(variant_of="chatcmpl-unknown"))


async def test_every_answer_to_a_question_is_found_on_its_own_platform(store):
    async with store.write() as session:
        group = await record_variants(session, 2)
        assert [row.id for row in await exchanges.find_by_question(session, "api", "c/1")] == group
        assert await exchanges.find_by_question(session, "discord", "c/1") == []
        assert await exchanges.find_by_question(session, "api", "c/2") == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(picks=PICKS)
async def test_after_any_picks_exactly_the_latest_of_each_person_stands_against_every_other_reply(store, picks):
    async with store.write() as session:
        await session.execute(text("DELETE FROM preferences"))
        group = await record_variants(session)
        for user_id, index in picks:
            assert await preferences.pick(session, user_id=user_id, chosen=group[index], source="discord") == 2
        latest = dict(picks)
        for user_id in ("ann", "bob"):
            pairs = {(row.chosen_id, row.rejected_id) for row in await preferences.of_user(session, user_id)}
            chosen = group[latest[user_id]] if user_id in latest else None
            assert pairs == {(chosen, other) for other in group if chosen and other != chosen}


async def test_a_pick_leaves_other_questions_alone_and_counts_only_finished_replies(store):
    async with store.write() as session:
        elsewhere, here = await record_variants(session, 2), await record_variants(session, 2)
        failed = new_exchange(variant_of=here[0])
        await exchanges.record(session, failed)
        await settle(session, failed.id, status=JobStatus.FAILED)
        await preferences.pick(session, user_id="ann", chosen=elsewhere[0], source="discord")
        assert await preferences.pick(session, user_id="ann", chosen=here[1], source="discord") == 1
        pairs = [(row.chosen_id, row.rejected_id) for row in await preferences.of_user(session, "ann")]
        assert sorted(pairs) == sorted([(elsewhere[0], elsewhere[1]), (here[1], here[0])])
        with pytest.raises(InvalidInput, match="is failed; only a finished reply can be chosen"):
            await preferences.pick(session, user_id="ann", chosen=failed.id, source="discord")
        with pytest.raises(NotFound, match='no reply "chatcmpl-unknown"'):
            await preferences.pick(session, user_id="ann", chosen="chatcmpl-unknown", source="discord")


async def test_where_there_is_one_reply_there_is_nothing_to_choose_from(store):
    async with store.write() as session:
        only = await record_answered(session)
        assert await preferences.pick(session, user_id="ann", chosen=only, source="discord") == 0
        assert await preferences.of_user(session, "ann") == []


async def test_a_pick_can_be_taken_back(store):
    async with store.write() as session:
        group = await record_variants(session)
        for user_id in ("ann", "bob"):
            await preferences.pick(session, user_id=user_id, chosen=group[2], source="discord")
        await preferences.withdraw(session, user_id="ann", exchange_id=group[0])
        assert await preferences.of_user(session, "ann") == []
        assert len(await preferences.of_user(session, "bob")) == 2


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE preferences SET chosen_id = rejected_id", "ck_preferences_between_two"),
        ("UPDATE preferences SET chosen_id = 'chatcmpl-unknown'", "(?i)foreign key constraint"),
        ("INSERT INTO preferences SELECT * FROM preferences", "(?i)unique constraint"),
        ("UPDATE exchanges SET variant_of = 'chatcmpl-unknown'", "(?i)foreign key constraint"),
    ],
)
async def test_the_schema_refuses_choices_that_mean_nothing(store, statement, rule):
    async with store.write() as session:
        group = await record_variants(session, 2)
        await preferences.pick(session, user_id="ann", chosen=group[0], source="discord")
    with pytest.raises(IntegrityError, match=rule):
        async with store.write() as session:
            await session.execute(text(statement))
