from __future__ import annotations

import asyncio

import pytest

from core.engine.base import Engine
from core.engine.echo_engine import EchoEngine
from core.errors import EngineFailed, InvalidInput
from core.generation import AdapterRef, GenerationRequest, SamplingParams, WeightedAdapter
from core.messages import ChatMessage, Usage

ZEN = AdapterRef("zen@1", "a" * 64)
NOIR = AdapterRef("noir@2", "b" * 64)


def request(text, name="r1", *, adapters=(), **sampling):
    return GenerationRequest(name, "c", (ChatMessage("user", text),), adapters, SamplingParams(**sampling))


async def started(**options):
    engine = EchoEngine(**options)
    await engine.start()
    return engine


async def collect(stream):
    return [chunk async for chunk in stream]


async def text_of(engine, asked):
    return "".join([chunk.text async for chunk in engine.submit(asked)])


async def test_it_says_the_message_back_word_by_word_and_counts():
    engine: Engine = await started()
    *words, last = await collect(engine.submit(request("good  morning all")))
    assert [chunk.text for chunk in words] == ["good  ", "morning ", "all"]
    assert (last.finish_reason, last.usage) == ("stop", Usage(4, 3))
    assert engine.stats().tokens_generated == 3


async def test_a_reply_names_the_weights_that_wrote_it():
    engine = await started()
    blend = (WeightedAdapter(ZEN, 0.7), WeightedAdapter(NOIR, 0.3))
    assert await text_of(engine, request("hi", adapters=blend)) == "[zen@1:0.7+noir@2:0.3] hi"
    assert await text_of(engine, request("hi", adapters=(WeightedAdapter(ZEN, 1.0),))) == "[zen@1] hi"


@pytest.mark.parametrize(
    ("sampling", "context", "text", "reason"),
    [
        ({"max_new_tokens": 2}, 99, "one two ", "length"),
        ({"max_new_tokens": 3}, 99, "one two three", "stop"),
        ({}, 6, "one two ", "length"),
        ({"stop": ("ee", "two")}, 99, "one ", "stop"),
    ],
)
async def test_a_reply_ends_at_its_limit_and_before_a_stop_string(sampling, context, text, reason):
    engine = await started(max_context_tokens=context)
    *words, last = await collect(engine.submit(request("one two three", **sampling)))
    assert "".join(chunk.text for chunk in words) == text
    assert last.finish_reason == reason


async def test_the_gate_holds_replies_between_words():
    engine = await started()
    engine.gate.close()
    reading = asyncio.create_task(collect(engine.submit(request("one two three"))))
    engine.gate.let_through(2)
    await engine.gate.wait_until_held()
    assert not reading.done()
    engine.gate.open()
    assert len(await reading) == 4


async def test_slots_are_taken_in_order():
    engine = await started(slots=1)
    engine.gate.close()
    readings = [asyncio.create_task(collect(engine.submit(request("hi", name)))) for name in ("r1", "r2")]
    await engine.gate.wait_until_held()
    assert (engine.stats().running, engine.stats().waiting) == (1, 1)
    engine.gate.let_through(1)
    await readings[0]
    await engine.gate.wait_until_held()
    assert not readings[1].done()
    engine.gate.open()
    await readings[1]
    assert engine.stats().running == 0


async def test_cancel_ends_running_and_waiting_requests_with_a_last_chunk():
    engine = await started(slots=1)
    engine.gate.close()
    readings = [asyncio.create_task(collect(engine.submit(request("hi", name)))) for name in ("r1", "r2")]
    await engine.gate.wait_until_held()
    for name in ("r2", "r1", "nobody"):
        await engine.cancel(name)
    for chunks in await asyncio.gather(*readings):
        assert [chunk.finish_reason for chunk in chunks] == ["cancelled"]


async def test_closing_the_iterator_frees_the_slot():
    engine = await started(slots=1)
    chunks = engine.submit(request("one two"))
    await anext(chunks)
    await chunks.aclose()
    assert await text_of(engine, request("hi", "r2")) == "hi"


async def test_a_word_that_breaks_it_breaks_one_reply():
    engine = await started(fails_on="boom")
    with pytest.raises(EngineFailed, match="boom"):
        await collect(engine.submit(request("say boom now")))
    assert await text_of(engine, request("fine")) == "fine"
    assert engine.is_healthy


async def test_a_crash_fails_what_runs_and_refuses_what_comes():
    engine = await started()
    engine.gate.close()
    reading = asyncio.create_task(collect(engine.submit(request("hi"))))
    await engine.gate.wait_until_held()
    engine.crash()
    (last,) = await reading
    assert last.finish_reason == "error"
    assert last.error
    assert not engine.is_healthy
    with pytest.raises(EngineFailed):
        await collect(engine.submit(request("hi")))


async def test_closing_the_engine_cancels_what_runs():
    engine = await started()
    engine.gate.close()
    reading = asyncio.create_task(collect(engine.submit(request("hi"))))
    await engine.gate.wait_until_held()
    await engine.close()
    assert (await reading)[-1].finish_reason == "cancelled"
    with pytest.raises(EngineFailed, match="not running"):
        await collect(engine.submit(request("hi")))


async def test_a_prompt_that_leaves_no_room_is_refused():
    engine = await started(max_context_tokens=3)
    with pytest.raises(InvalidInput, match="3 tokens"):
        await collect(engine.submit(request("one two")))


async def test_adapters_are_known_once_loaded_or_used_until_unloaded():
    engine = await started()
    await engine.load_adapter(ZEN, pin=True)
    chunks = engine.submit(request("hi", adapters=(WeightedAdapter(ZEN, 1.0), WeightedAdapter(NOIR, 1.0))))
    await anext(chunks)
    assert [(status.ref, status.in_use, status.is_pinned) for status in engine.adapters()] == [
        (ZEN, 1, True),
        (NOIR, 1, False),
    ]
    await engine.unload_adapter("noir@2")
    await collect(chunks)
    assert [(status.ref, status.in_use) for status in engine.adapters()] == [(ZEN, 0)]
