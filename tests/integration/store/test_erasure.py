"""What goes with a deleted message, a server that was left, and time; and what stays."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from core.generation import SamplingOverrides
from core.messages import Quoted
from core.store import consent, corrections, data_rights, exchanges, feedback, places
from tests.examples.store import new_exchange, record_answered

ANN, BOB = "discord:ann", "discord:bob"


@pytest.mark.parametrize("quotes", [(Quoted("c/1", ANN),), ()])
async def test_a_prompt_that_does_not_say_whom_it_quotes_is_taken_to_quote_its_whole_conversation(store, quotes):
    async with store.write() as session:
        await record_answered(session, user_id=ANN, conversation_id="chain", quotes=(Quoted("c/1", ANN),))
        other = await record_answered(session, user_id=BOB, conversation_id="chain", quotes=quotes)
        elsewhere = await record_answered(session, user_id=BOB, conversation_id="another")
        await data_rights.forget(session, ANN)
        assert (await exchanges.find(session, other)).prompt is None
        assert (await exchanges.find(session, elsewhere)).prompt is not None


async def test_a_deleted_question_takes_its_words_out_of_its_answers_and_of_what_quotes_it(store):
    async with store.write() as session:
        question = {"source": "discord", "question_id": "c/1", "quotes": (Quoted("c/1", ANN),)}
        answers = [await record_answered(session, **question) for _ in range(2)]
        quoting = await record_answered(session, source="discord", quotes=(Quoted("c/1", ANN), Quoted("c/2", BOB)))
        others = [
            await record_answered(session, source="discord", question_id="c/2", quotes=(Quoted("c/2", BOB),)),
            await record_answered(session, source="slack", question_id="c/1", quotes=(Quoted("c/1", BOB),)),
        ]
        await corrections.add(session, exchange_id=answers[0], user_id=BOB, text="Better.", source="discord")
        await feedback.record(session, exchange_id=answers[0], user_id=BOB, label=True, source="discord")
        assert await data_rights.forget_question(session, "discord", "c/1") == 3
        assert await data_rights.forget_question(session, "discord", "c/1") == 0
    async with store.write() as session:
        kept = [key for key in [*answers, quoting, *others] if (await exchanges.find(session, key)).prompt is not None]
        assert kept == others
        assert await corrections.of_exchange(session, answers[0]) == []
        assert len(await feedback.of_exchanges(session, answers[0])) == 1


async def test_a_deleted_answer_takes_its_words_and_those_of_its_variants_with_it(store):
    async with store.write() as session:
        first = await record_answered(session, source="discord", quotes=(Quoted("c/1", ANN),))
        shown = await record_answered(session, source="discord", variant_of=first, quotes=(Quoted("c/1", ANN),))
        quoting = await record_answered(session, source="discord", quotes=(Quoted("c/9", ""), Quoted("c/2", BOB)))
        other = await record_answered(session, source="discord", quotes=(Quoted("c/2", BOB),))
        await exchanges.add_delivery(session, shown, "c/9")
        assert await data_rights.forget_delivery(session, "discord", "c/9") == 3
        assert await data_rights.forget_delivery(session, "discord", "c/9") == 0
        assert await exchanges.find_by_delivery(session, "discord", "c/9") is None
        for key in (first, shown, quoting):
            assert (await exchanges.find(session, key)).reply is None
        assert (await exchanges.find(session, other)).reply == "Arr, a stack."


async def test_leaving_a_server_forgets_its_settings_texts_and_messages_and_no_other_servers(store):
    async with store.write() as session:
        left = await record_answered(
            session, source="discord", question_id="c/1", places=("discord:channel:3", "discord:guild:1")
        )
        named = await record_answered(session, source="discord", conversation_id="discord:thread:5")
        stays = await record_answered(session, source="discord", question_id="c/7", places=("discord:guild:2",))
        for number, exchange_id in enumerate((left, named, stays)):
            await exchanges.add_delivery(session, exchange_id, f"c/{number}")
        for place_id in ("discord:guild:1", "discord:guild:2"):
            await places.set_model(session, place_id, source="discord", model="zen")
        lost = await data_rights.forget_places(session, "discord", ["discord:guild:1"], ["discord:thread:5"])
        assert lost == 2
    async with store.write() as session:
        for exchange_id, is_there in ((left, False), (named, False), (stays, True)):
            row = await exchanges.find(session, exchange_id)
            assert (row.prompt is not None, row.user_id) == (is_there, "ann")
            assert bool(await exchanges.deliveries_of(session, exchange_id)) is is_there
        assert (await exchanges.find_by_question(session, "discord", "c/1")) == []
        assert await places.model_of(session, "discord:guild:1") is None
        assert await places.model_of(session, "discord:guild:2") == "zen"
        assert (await session.execute(text("SELECT place_id FROM exchange_places"))).scalars().all() == [
            "discord:channel:3",
            "discord:guild:2",
        ]


async def test_a_place_that_keeps_text_no_longer_loses_it_but_for_narrower_places_that_keep_theirs(store):
    thread, sibling, channel, other, server = "d:thread:1", "d:thread:2", "d:channel:1", "d:channel:2", "d:guild:1"
    said_in = [
        (thread, channel, server),
        (sibling, channel, server),
        (channel, server),
        (other, server),
        ("d:guild:2",),
    ]
    async with store.write() as session:
        keys = [await record_answered(session, places=where) for where in said_in]
        await corrections.add(session, exchange_id=keys[3], user_id=BOB, text="Better.", source="discord")
        for place_id, is_kept in ((thread, True), (sibling, False), (channel, True), (server, True)):
            await places.change(session, place_id, source="discord", is_text_kept=is_kept)

        async def still_kept() -> list[int]:
            return [n for n, key in enumerate(keys) if (await exchanges.find(session, key)).prompt is not None]

        await places.change(session, server, source="discord", is_text_kept=False)
        assert await data_rights.stop_keeping(session, server) == 1
        assert await still_kept() == [0, 1, 2, 4]
        assert await corrections.of_exchange(session, keys[3]) == []
        await places.change(session, server, source="discord", is_text_kept=True)
        await places.change(session, channel, source="discord", is_text_kept=False)
        assert await data_rights.stop_keeping(session, channel, wider=(server,)) == 2
        assert await still_kept() == [0, 4]
        assert await data_rights.stop_keeping(session, thread, wider=(channel, server)) == 1
        assert await data_rights.stop_keeping(session, thread, wider=(channel, server)) == 0
        assert await still_kept() == [4]


async def test_a_purge_erases_old_text_unless_everybody_in_it_agrees(store):
    async with store.write() as session:
        await consent.give(session, ANN, source="discord")
        agreed = await record_answered(session, user_id=ANN, quotes=(Quoted("c/1", ANN), Quoted("c/2", "")))
        quoting = await record_answered(session, user_id=ANN, quotes=(Quoted("c/1", ANN), Quoted("c/3", BOB)))
        silent = await record_answered(session, user_id=BOB)
        running = new_exchange(user_id=BOB)
        await exchanges.record(session, running)
        for user_id in (ANN, BOB):
            await corrections.add(session, exchange_id=agreed, user_id=user_id, text="Better.", source="discord")
            await feedback.record(session, exchange_id=silent, user_id=user_id, label=False, source="discord")
        assert await data_rights.purge(session, before=1.0) == 0
        assert len(await corrections.of_exchange(session, agreed)) == 2
        assert await data_rights.purge(session, before=2e10) == 2
        assert await data_rights.purge(session, before=2e10) == 0
    async with store.write() as session:
        kept = [key for key in (agreed, quoting, silent, running.id) if (await exchanges.find(session, key)).prompt]
        assert kept == [agreed, running.id]
        assert [row.user_id for row in await corrections.of_exchange(session, agreed)] == [ANN]
        assert len(await feedback.of_exchanges(session, silent)) == 2


async def test_a_purge_keeps_no_stop_strings_either(store):
    async with store.write() as session:
        stopping = await record_answered(session, sampling=SamplingOverrides(seed=5, stop=("my secret",)))
        await data_rights.purge(session, before=2e10)
        sampling = (await exchanges.find(session, stopping)).sampling
    assert (sampling["stop"], sampling["seed"]) == ([], 5)
