"""What people may ask of the store. Every column is sorted here into what is a person's and what is not."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select, text, true

from core.errors import InvalidInput
from core.generation import SamplingOverrides
from core.messages import ChatMessage, Quoted
from core.store import consent, corrections, data_rights, exchanges, feedback, places, preferences
from core.store.data_rights import Forgotten
from core.store.erasure import erase_text
from core.store.models import AdapterVersion, Base, Place, TrainingExample
from tests.examples.store import new_exchange, record_answered, settle

ANN, BOB = "discord:ann", "discord:bob"
MARK = "ann"  # stands in everything that is hers
DM = "discord:channel:dm-of-ann"

PERSONAL = {  # a person's id, words, or the name of a place or message of theirs
    "exchanges": "event_id conversation_id user_id sampling prompt reply question_id",
    "exchange_places": "place_id",
    "quotes": "message_id user_id",
    "deliveries": "message_id token",
    "feedback": "user_id",
    "preferences": "user_id",
    "corrections": "user_id text",
    "consents": "user_id",
    "places": "id",
}
HARMLESS = {  # what answered, when, how it ended, and who judged it without saying who that is
    "exchanges": "id source model base_model adapters seed status finish_reason prompt_tokens completion_tokens"
    " cached_tokens error created_at started_at finished_at variant_of",
    "exchange_places": "exchange_id",
    "quotes": "exchange_id",
    "deliveries": "source exchange_id position is_final created_at head_chars tail_chars",
    "feedback": "exchange_id label source given_at",
    "void_thumbs": "exchange_id",
    "preferences": "rejected_id chosen_id source given_at is_tie",
    "duels": "first_id second_id",
    "corrections": "exchange_id source given_at",
    "consents": "id version is_given source happened_at",
    "places": "source model identity is_free_talk is_text_kept updated_at",
    "training_examples": "persona base_model version exchange_id",
    "adapter_versions": "persona base_model version content_hash root path origin lineage gate_passed gate_report"
    " created_at",
    "adapter_aliases": "persona base_model alias version",
    "registry_events": "id persona base_model kind version former_champion gate_passed is_forced actor reason"
    " happened_at",
    "rollouts": "persona base_model challenger champion stage is_paused settings started_at canary_at ended_at"
    " outcome reason",
    "shadow_replies": "exchange_id persona base_model challenger champion_words challenger_words champion_is_flawed"
    " challenger_is_flawed champion_voice challenger_voice has_failed happened_at",
}


def names(tables: dict[str, str]) -> set[str]:
    return {f"{table}.{column}" for table, columns in tables.items() for column in columns.split()}


async def hers(session) -> set[str]:
    """Every column of the database that holds something of Ann's."""
    found = set()
    for table in Base.metadata.sorted_tables:
        for row in (await session.execute(select(table))).mappings():
            found |= {f"{table.name}.{name}" for name, value in row.items() if MARK in json.dumps(value)}
    return found


async def learn(session, exchange_id: str, persona: str = "codebeard", version: int = 2) -> None:
    """An adapter version was trained on this exchange."""
    made = {"content_hash": f"{version:064}", "root": "data", "path": "a", "origin": "trained", "lineage": {}}
    if await session.get(AdapterVersion, (persona, "smollm2", version)) is None:
        session.add(AdapterVersion(persona=persona, base_model="smollm2", version=version, **made))
        await session.flush()
    session.add(TrainingExample(persona=persona, base_model="smollm2", version=version, exchange_id=exchange_id))
    await session.flush()


async def live(session) -> dict[str, str]:
    """Ann does everything one can do, and Bob talks with her; the exchanges she asked, quoted her, and his own."""
    asked = await record_answered(
        session,
        source="discord",
        event_id="message:ann-1",
        user_id=ANN,
        conversation_id="discord:dm:ann",
        question_id="dm-of-ann/1",
        places=(DM,),
        prompt=(ChatMessage("user", "ann wants to know"),),
        sampling=SamplingOverrides(temperature=0.7, seed=1, stop=("ann says stop",)),
        quotes=(Quoted("dm-of-ann/1", ANN),),
    )
    await session.execute(text("UPDATE exchanges SET reply = 'Dear ann'"))
    await exchanges.add_delivery(session, asked, "dm-of-ann/2", is_final=False, token="token for ann")
    bobs = {"source": "discord", "user_id": BOB, "conversation_id": "discord:chain:9", "places": ("discord:guild:1",)}
    quoting = await record_answered(
        session,
        **bobs,
        prompt=(ChatMessage("user", "ann: what bob answers to"),),
        quotes=(Quoted("c/ann-3", ANN), Quoted("c/4", BOB)),
    )
    other = await record_answered(session, **bobs, quotes=(Quoted("c/4", BOB),), variant_of=quoting)
    for judge in (ANN, BOB):
        await consent.give(session, judge, source="discord")
        await feedback.record(session, exchange_id=asked, user_id=judge, label=True, source="discord")
        await feedback.record(session, exchange_id=other, user_id=judge, label=True, source="discord")
        await preferences.pick(session, user_id=judge, chosen=other, source="discord")
        await corrections.add(session, exchange_id=other, user_id=judge, text=f"{judge} knows better", source="discord")
    await places.set_model(session, ANN, source="discord", model="zen")
    await places.set_model(session, DM, source="discord", model="zen")
    return {"asked": asked, "quoting": quoting, "other": other}


def test_every_column_is_known_to_be_a_persons_or_not():
    every = {f"{table.name}.{column.name}" for table in Base.metadata.sorted_tables for column in table.columns}
    assert names(PERSONAL) | names(HARMLESS) == every
    assert not names(PERSONAL) & names(HARMLESS)


async def test_the_example_puts_something_of_hers_into_every_personal_column(store):
    async with store.write() as session:
        await live(session)
        assert await hers(session) == names(PERSONAL)


async def test_nobody_is_forgotten_for_an_empty_id(store):
    async with store.write() as session:
        with pytest.raises(InvalidInput, match="Nobody is named"):
            await data_rights.forget(session, "")


async def test_forgetting_leaves_nothing_of_a_person_in_any_column(store):
    async with store.write() as session:
        await live(session)
        forgotten = await data_rights.forget(session, ANN)
        assert await hers(session) == set()
    assert forgotten == Forgotten(exchanges=1, feedback=2, preferences=1, corrections=1, versions=[])


async def test_forgetting_keeps_what_answered_and_what_others_said_and_think(store):
    async with store.write() as session:
        made = await live(session)
        before = await exchanges.find(session, made["asked"])
        decided = (before.status, before.model, before.adapters, before.seed, before.sampling["temperature"])
        await data_rights.forget(session, ANN, [DM])
    async with store.write() as session:
        asked, other = [await exchanges.find(session, made[name]) for name in ("asked", "other")]
        assert (asked.status, asked.model, asked.adapters, asked.seed, asked.sampling["temperature"]) == decided
        assert (other.user_id, other.reply) == (BOB, "Arr, a stack.")
        for exchange_id in (made["asked"], made["other"]):
            assert [row.user_id for row in await feedback.of_exchanges(session, exchange_id)] == [BOB]
        assert len(await preferences.of_user(session, BOB)) == 1
        assert len(await corrections.of_exchange(session, made["other"])) == 1
        assert await consent.has(session, BOB)
        assert not await consent.has(session, ANN)


async def test_what_others_can_see_too_is_not_left_when_a_person_is_forgotten(store):
    channel, server, between = "discord:channel:3", "discord:guild:1", "discord:channel:4"
    said_in = [(ANN, (channel, server)), (ANN, (between,)), (BOB, (between,)), (ANN, (DM,))]
    async with store.write() as session:
        for number, (who, where) in enumerate(said_in):
            asked = await record_answered(session, source="discord", user_id=who, places=where)
            await exchanges.add_delivery(session, asked, f"c/{number}")
        for place_id in (channel, server, between, DM, "discord:channel:unasked"):
            await places.set_model(session, place_id, source="discord", model="zen")
        await data_rights.forget(session, ANN, ["discord:channel:unasked"])
        for number in range(3):
            assert await exchanges.find_by_delivery(session, "discord", f"c/{number}")
        assert await exchanges.find_by_delivery(session, "discord", "c/3") is None
        assert set(await session.scalars(select(Place.id))) == {channel, server, between}


async def test_a_person_is_forgotten_once_and_may_begin_anew(store):
    async with store.write() as session:
        await live(session)
        await data_rights.forget(session, ANN, [DM])
        assert await data_rights.forget(session, ANN) == Forgotten()
        for _ in range(2):
            await record_answered(session, source="discord", user_id=ANN)
        assert (await data_rights.forget(session, ANN)).exchanges == 2


async def test_forgetting_names_every_version_that_learnt_from_what_a_person_said_or_judged(store):
    async with store.write() as session:
        made = await live(session)
        strangers = await record_answered(session, user_id="discord:cem")
        for version, exchange_id in enumerate([*made.values(), strangers], start=2):
            await learn(session, exchange_id, version=version)
        await learn(session, made["asked"], persona="zen", version=9)
        await erase_text(session, true())  # lineage outlives the words
        expected = ["codebeard@2", "codebeard@3", "codebeard@4", "zen@9"]
        assert (await data_rights.export(session, ANN))["trained_versions"] == expected
        assert (await data_rights.forget(session, ANN)).versions == expected


async def test_an_export_holds_everything_that_is_hers_and_is_json(store):
    async with store.write() as session:
        made = await live(session)
        found = json.loads(json.dumps(await data_rights.export(session, ANN)))
    assert found["user_id"] == ANN
    (asked,) = found["exchanges"]
    assert asked["id"] == made["asked"]
    assert (asked["prompt"], asked["reply"]) == ([{"role": "user", "content": "ann wants to know"}], "Dear ann")
    assert (asked["sampling"]["stop"], asked["question_id"]) == (["ann says stop"], "dm-of-ann/1")
    assert [row["message_id"] for row in found["shown_as"]] == ["dm-of-ann/2"]
    assert [row["place_id"] for row in found["took_place_in"]] == [DM]
    assert sorted(row["message_id"] for row in found["quoted_in"]) == ["c/ann-3", "dm-of-ann/1"]
    assert {row["exchange_id"]: row["label"] for row in found["feedback"]} == {made["asked"]: True, made["other"]: True}
    assert [(row["chosen_id"], row["rejected_id"]) for row in found["preferences"]] == [
        (made["other"], made["quoting"])
    ]
    assert [row["text"] for row in found["corrections"]] == ["discord:ann knows better"]
    assert [(row["version"], row["is_given"]) for row in found["consents"]] == [(consent.CONSENT_VERSION, True)]
    assert [row["id"] for row in found["places"]] == [ANN]


async def test_an_export_holds_nothing_of_others_and_no_token(store):
    async with store.write() as session:
        await live(session)
        found = json.dumps(await data_rights.export(session, ANN))
        nobody = await data_rights.export(session, "discord:nobody")
    assert BOB not in found
    assert "token for ann" not in found
    assert [key for key, value in nobody.items() if value] == ["user_id", "exported_at"]


async def test_a_reply_that_is_still_written_for_a_forgotten_person_keeps_no_text(store):
    new = new_exchange(user_id=ANN)
    async with store.write() as session:
        await exchanges.record(session, new)
        await data_rights.forget(session, ANN)
        assert await settle(session, new.id, reply="Dear ann")
        row = await exchanges.find(session, new.id)
    assert (row.status, row.prompt, row.reply) == ("succeeded", None, None)
