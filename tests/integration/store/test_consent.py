"""Consent: off by default, versioned, with its history."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from core.messages import Quoted
from core.store import consent, corrections, exchanges
from tests.examples.store import record_answered

ANSWERS = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.booleans()), max_size=8)


async def answer(session, user_id: str, is_given: bool) -> None:
    if is_given:
        await consent.give(session, user_id, source="discord")
    else:
        await consent.withdraw(session, user_id)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=ANSWERS)
async def test_the_latest_answer_of_each_person_counts_and_silence_is_no(store, answers):
    latest = {"ann": False, "bob": False} | dict(answers)
    async with store.write() as session:
        await session.execute(text("DELETE FROM consents"))
        for user_id, is_given in answers:
            await answer(session, user_id, is_given)
        for user_id, is_given in latest.items():
            assert await consent.has(session, user_id) is is_given
            said = [row.is_given for row in await consent.history(session, user_id)]
            assert said == [n % 2 == 0 for n in range(len(said))]  # every change once, and nothing twice
        assert await consent.all_have(session, ["ann", "bob", "ann"]) is all(latest.values())


async def test_a_yes_to_older_words_is_no_yes_to_the_present_ones(store, monkeypatch):
    former, present = consent.CONSENT_VERSION, consent.CONSENT_VERSION + 1
    async with store.write() as session:
        await consent.give(session, "ann", source="discord")
        monkeypatch.setattr(consent, "CONSENT_VERSION", present)
        assert not await consent.has(session, "ann")
        await consent.give(session, "ann", source="discord")
        assert await consent.has(session, "ann")
        assert [row.version for row in await consent.history(session, "ann")] == [former, present]


async def test_every_answer_is_kept_with_its_time_and_place(store):
    async with store.write() as session:
        for is_given in (True, False, True):
            await answer(session, "ann", is_given)
        said = await consent.history(session, "ann")
    assert [(row.is_given, row.source) for row in said] == [(True, "discord"), (False, "discord"), (True, "discord")]
    times = [row.happened_at for row in said]
    assert times == sorted(times)


async def test_withdrawing_erases_the_words_wherever_they_stand_and_nobody_elses(store):
    async with store.write() as session:
        await consent.give(session, "ann", source="discord")
        hers = await record_answered(session, quotes=(Quoted("c/1", "ann"),))
        quoting = await record_answered(session, user_id="bob", quotes=(Quoted("c/1", "ann"), Quoted("c/2", "bob")))
        bobs = await record_answered(session, user_id="bob", quotes=(Quoted("c/2", "bob"),))
        for user_id in ("ann", "bob"):
            await corrections.add(session, exchange_id=bobs, user_id=user_id, text="Better.", source="discord")
        assert await consent.withdraw(session, "ann") == 2
        assert await consent.withdraw(session, "ann") == 0
    async with store.write() as session:
        kept = {key: (await exchanges.find(session, key)).prompt is not None for key in (hers, quoting, bobs)}
        assert [row.user_id for row in await corrections.of_exchange(session, bobs)] == ["bob"]
        assert (await exchanges.find(session, hers)).user_id == "ann"
    assert kept == {hers: False, quoting: False, bobs: True}


@pytest.mark.parametrize("user_ids", [["ann", "bob"], ["bob"]])
async def test_one_person_without_consent_is_enough_for_a_no(store, user_ids):
    async with store.write() as session:
        await consent.give(session, "ann", source="discord")
        assert not await consent.all_have(session, user_ids)
