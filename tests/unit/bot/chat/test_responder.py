from __future__ import annotations

import json
import time
from dataclasses import asdict, replace

import pytest
from sqlalchemy import select

from bot.chat.platform import NOT_POSTED, Placeholder
from bot.chat.responder import MAX_CONVERSATION_CHARS, NOT_QUEUED, DuplicateEvent
from core.adapters.content_hash import adapter_content_hash
from core.errors import InvalidBlend, InvalidInput, NotFound, QueueFull
from core.generation import EngineCapabilities, SamplingOverrides
from core.messages import ChatMessage, Quoted
from core.store import consent, exchanges, places
from core.store.models import ExchangePlace, Quote
from tests.examples.queue import worker_facts
from tests.examples.responder import HELLO, message, rows
from tests.examples.store import write_adapter


async def test_a_message_is_in_the_ledger_and_in_the_queue(responder, store, queue):
    before = time.time()
    reply = await responder.open(message(messages=(ChatMessage("system", "Be brief."), *HELLO)))
    (row,) = await rows(store)
    (job,) = await queue.fetch(9)
    assert (row.id, row.status, row.model, row.base_model) == (reply.exchange_id, "queued", "zen", "smollm2")
    assert (row.source, row.event_id, row.conversation_id, row.user_id) == ("api", "e1", "c1", "ann")
    assert row.prompt == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    assert [(share["name"], share["weight"]) for share in row.adapters] == [("zen@1", 1.0)]
    assert (job.exchange_id, job.conversation_id, job.system_prompt) == (reply.exchange_id, "c1", "You are zen.")
    assert [(share.adapter.name, share.weight) for share in job.adapters] == [("zen@1", 1.0)]
    assert before <= job.enqueued_at == reply.created_at
    assert 0 < job.timeout_s <= 60


async def test_the_seed_in_the_ledger_is_the_one_in_the_job(responder, store, queue):
    await responder.open(message())
    await responder.open(message(event_id="e2", conversation_id="c2"))
    jobs = {job.exchange_id: job for job in await queue.fetch(9)}
    seeds = {row.id: row.seed for row in await rows(store)}
    assert seeds == {exchange_id: job.sampling.seed for exchange_id, job in jobs.items()}
    assert len(set(seeds.values())) == 2
    assert all(0 <= seed < 2**63 for seed in seeds.values())


async def test_sampling_comes_from_the_settings_then_the_heaviest_persona_then_the_message(responder, queue):
    asked = SamplingOverrides(top_p=0.5, seed=7)
    await responder.open(message(model="zen:0.3+noir:0.7", sampling=asked))
    (job,) = await queue.fetch(1)
    assert job.sampling == SamplingOverrides(max_new_tokens=99, temperature=1.1, top_k=40, top_p=0.5, seed=7)


async def test_a_blend_has_the_adapters_and_prompts_of_all_its_parts_that_have_any(responder, queue):
    reply = await responder.open(message(model="mute:0.4 + zen:0.6"))
    (job,) = await queue.fetch(1)
    assert reply.model == "zen:0.6+mute:0.4"
    assert [(share.adapter.name, share.weight) for share in job.adapters] == [("zen@1", 0.6)]
    assert job.system_prompt == "You are zen.\n\nYou are mute."


async def test_the_base_model_has_neither_adapter_nor_prompt_and_the_models_own_sampling(responder, queue):
    reply = await responder.open(message(model="base", sampling=SamplingOverrides(seed=1)))
    (job,) = await queue.fetch(1)
    assert (reply.model, job.adapters, job.system_prompt) == ("base", (), "")
    assert job.sampling == SamplingOverrides(max_new_tokens=99, seed=1)


async def test_a_conversation_keeps_what_it_chose_unless_the_message_names_another(responder, store):
    async with store.write() as session:
        await places.set_model(session, "c1", source="api", model="noir")
    assert (await responder.open(message())).model == "noir"
    assert (await responder.open(message(event_id="e2", model="mute"))).model == "mute"


async def test_where_a_conversation_chose_nobody_its_thread_decides_then_its_channel_then_its_server(responder, store):
    chosen = {"c1": "zen", "thread": "mute", "channel": "base", "server": "noir"}
    async with store.write() as session:
        for place, model in chosen.items():
            await places.set_model(session, place, source="discord", model=model)
    for number, (place, model) in enumerate(chosen.items()):
        where = ("thread", "channel", "server")
        asked = message(event_id=f"e{number}", conversation_id="c1", places=where)
        reply = await responder.open(asked)
        assert reply.model == model
        await reply.cancel()
        async with store.write() as session:
            await places.set_model(session, place, source="discord", model=None)


async def test_the_ledger_knows_the_question_its_places_and_whom_the_prompt_quotes(responder, store):
    asked = {"question_id": "c/1", "places": ("server",), "quotes": (Quoted("c/1", "ann"),)}
    first = await responder.open(message(**asked))
    again = await responder.open(message(**asked, event_id="e2", variant_of=first.exchange_id))
    async with store.write() as session:
        group = await exchanges.variants(session, first.exchange_id)
        answers = await exchanges.find_by_question(session, "api", "c/1")
        where = set(await session.scalars(select(ExchangePlace.place_id)))
        quoted = [(quote.message_id, quote.user_id) for quote in await session.scalars(select(Quote))]
    assert [row.id for row in group] == [row.id for row in answers] == [first.exchange_id, again.exchange_id]
    assert where == {"server"}
    assert quoted == [("c/1", "ann")] * 2


async def test_a_queued_reply_keeps_its_champion_when_it_moves(responder, store, registry, folder, queue):
    await responder.open(message())
    adapter = write_adapter(folder / "adapters" / "zen" / "2", b"better")
    await registry.register(store, persona="zen", base_slug="smollm2", folder=adapter, lineage={})
    await registry.promote(store, "zen", "smollm2", 2, force=True, by="test")
    await responder.open(message(event_id="e2", conversation_id="c2"))
    assert [job.adapters[0].adapter.name for job in await queue.fetch(9)] == ["zen@1", "zen@2"]


async def test_an_event_delivered_twice_is_answered_once(responder, store, queue):
    await responder.open(message())
    with pytest.raises(DuplicateEvent, match="answered once") as caught:
        await responder.open(message())
    assert caught.value.http_status == 409
    assert len(await rows(store)) == await queue.depth() == 1


@pytest.mark.parametrize("error", [InvalidInput("The job is odd."), ConnectionError("no route to the queue")])
async def test_a_queue_that_fails_leaves_no_exchange_waiting_for_ever(responder, store, queue, monkeypatch, error):
    async def fail(_job):
        raise error

    monkeypatch.setattr(queue, "enqueue", fail)
    thinking = Placeholder("c/1", "token")
    with pytest.raises(type(error)):
        await responder.open(message(source="discord", placeholder=thinking))
    [row] = await rows(store)
    said = "The job is odd." if isinstance(error, InvalidInput) else NOT_QUEUED
    assert (row.status, row.finish_reason, row.error) == ("failed", "error", said)
    async with store.read() as session:
        assert await exchanges.deliveries_of(session, row.id) == []


async def test_a_full_queue_settles_the_exchange_with_its_sentence(responder, store):
    for number in range(2):
        await responder.open(message(event_id=f"e{number}", conversation_id=f"c{number}"))
    with pytest.raises(QueueFull) as caught:
        await responder.open(message(event_id="e9"))
    (refused,) = [row for row in await rows(store) if row.event_id == "e9"]
    assert (refused.status, refused.finish_reason, refused.error) == ("failed", "error", str(caught.value))


@pytest.mark.parametrize(
    ("capabilities", "asked"),
    [
        (EngineCapabilities(can_blend=False), {"model": "zen:0.5+noir:0.5"}),
        (EngineCapabilities(can_set_strength=False), {"model": "zen:0.5"}),
        (EngineCapabilities(can_seed=False), {"sampling": SamplingOverrides(seed=3)}),
    ],
)
async def test_what_the_worker_said_it_cannot_do_is_refused_before_the_ledger(
    responder, store, queue, capabilities, asked
):
    await queue.announce(replace(worker_facts(), capabilities=capabilities))
    with pytest.raises(InvalidInput, match=r"^This model"):
        await responder.open(message(**asked))
    assert await rows(store) == []
    await responder.open(message())  # what every engine can


async def test_nothing_in_a_job_belongs_to_this_machine(responder, queue, folder):
    await responder.open(message(model="zen:0.3+noir:0.7"))
    (job,) = await queue.fetch(1)
    written = json.dumps(asdict(job))  # a Path or an open thing cannot be written so
    assert str(folder) not in written
    assert {share["adapter"]["content_hash"] for share in asdict(job)["adapters"]} == {
        adapter_content_hash(folder / "adapters" / slug / "1") for slug in ("zen", "noir")
    }


async def test_text_that_may_not_be_kept_is_not_in_the_ledger(responder, store, queue):
    await responder.open(message(needs_consent=True))
    (row,) = await rows(store)
    (job,) = await queue.fetch(1)
    assert row.prompt is None
    assert job.messages == HELLO


async def test_where_permission_is_needed_text_is_kept_only_where_the_narrowest_place_with_a_choice_gives_it(
    responder, store
):
    async with store.write() as session:
        await places.change(session, "server", source="discord", is_text_kept=True)
        await places.change(session, "channel", source="discord", is_text_kept=False)
    for event_id, where in {"kept": ("server",), "forbidden": ("channel", "server"), "unsaid": ("elsewhere",)}.items():
        asked = message(event_id=event_id, conversation_id=event_id, places=where, needs_permission=True)
        await (await responder.open(asked)).cancel()
    assert {row.event_id for row in await rows(store) if row.prompt is not None} == {"kept"}


async def test_one_person_who_is_quoted_and_has_not_agreed_keeps_a_text_out(responder, store):
    async with store.write() as session:
        for person in ("ann", "ben"):
            await consent.give(session, person, source="discord")
    bot, ben, eve = Quoted("c/1", ""), Quoted("c/2", "ben"), Quoted("c/3", "eve")
    for event_id, quotes in {"agreed": (bot, ben), "not": (ben, eve)}.items():
        asked = message(event_id=event_id, conversation_id=event_id, quotes=quotes, needs_consent=True)
        await (await responder.open(asked)).cancel()
    assert {row.event_id for row in await rows(store) if row.prompt is not None} == {"agreed"}


async def test_a_placeholder_is_noted_with_its_token_until_the_reply_takes_its_place(responder, store):
    reply = await responder.open(message(placeholder=Placeholder("c/9", "a token")))
    async with store.write() as session:
        [noted] = await exchanges.deliveries_of(session, reply.exchange_id)
    assert (noted.message_id, noted.position, noted.is_final, noted.token) == ("c/9", NOT_POSTED, False, "a token")


async def test_a_placeholder_that_a_refusal_replaces_is_not_noted(responder, store):
    for number in range(2):
        await responder.open(message(event_id=f"e{number}", conversation_id=f"c{number}"))
    with pytest.raises(QueueFull):
        await responder.open(message(event_id="e9", placeholder=Placeholder("c/9", "a token")))
    [refused] = [row for row in await rows(store) if row.event_id == "e9"]
    async with store.write() as session:
        assert await exchanges.deliveries_of(session, refused.id) == []


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"messages": ()}, InvalidInput, "not empty"),
        ({"messages": (ChatMessage("user", " \n"),)}, InvalidInput, "not empty"),
        ({"messages": (*HELLO, ChatMessage("assistant", "hi"))}, InvalidInput, "must end with a message of the user"),
        ({"messages": (ChatMessage("user", "x" * (MAX_CONVERSATION_CHARS + 1)),)}, InvalidInput, "400001 characters"),
        ({"messages": (ChatMessage("user", "a\ud800"),)}, InvalidInput, "broken character at position 1"),
        ({"messages": (ChatMessage("user", "ab\x00"),)}, InvalidInput, "NUL character at position 2"),
        ({"user_id": "\udfff"}, InvalidInput, "user id holds a broken character"),
        ({"user_id": ""}, InvalidInput, "user id is 0 characters long"),
        ({"event_id": "e" * 600}, InvalidInput, "event id is 600 characters long"),
        ({"model": "\ud800"}, InvalidInput, "model name holds a broken character"),
        ({"sampling": SamplingOverrides(stop=("\ud800",))}, InvalidInput, "stop string holds a broken character"),
        ({"sampling": SamplingOverrides(top_p=2)}, InvalidInput, "top_p is 2"),
        ({"model": "nobody"}, NotFound, "installed ones are mute, noir, zen"),
        ({"model": "zen:much"}, InvalidBlend, "zen"),
    ],
)
async def test_what_can_never_work_is_refused_and_leaves_no_trace(responder, store, queue, changes, error, words):
    with pytest.raises(error, match=words):
        await responder.open(message(**changes))
    assert await rows(store) == []
    assert await queue.depth() == 0
