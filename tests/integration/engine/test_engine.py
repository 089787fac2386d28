"""The whole engine over tiny real models: several people, several personas, one batch."""

from __future__ import annotations

import asyncio

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from core.engine.fused_llama import FAMILIES
from core.errors import EngineFailed, InvalidInput
from core.messages import ChatMessage, Usage
from tests.models.engine_cases import collect, collect_all, mixed_requests, request, running_engine
from tests.models.tiny_models import ARCHITECTURES, make_adapter, make_tiny_model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_a_greedy_reply_is_the_same_alone_and_among_seven_others(architecture, tmp_path):
    folder = make_tiny_model(architecture, tmp_path / "base")
    refs = [make_adapter(folder, tmp_path / f"persona{i}", seed=i + 1) for i in range(3)]
    async with running_engine(folder, prefill_chunk_tokens=40) as engine:
        assert engine.slots == 8
        alone = [await collect(engine, each) for each in mixed_requests(refs, "alone ")]
        before = engine.stats()
        together = await collect_all(engine, mixed_requests(refs, "together "))
        after = engine.stats()
        assert after.tokens_generated - before.tokens_generated > 1.5 * (after.steps - before.steps)
    assert [text for text, _ in together] == [text for text, _ in alone]
    assert len({text for text, _ in alone}) == 8


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_a_prompt_of_many_chunks_is_read_alone_and_beside_others_as_in_one_piece(architecture, tmp_path):
    folder = make_tiny_model(architecture, tmp_path / "base")
    ref = make_adapter(folder, tmp_path / "persona", seed=1)

    def long(request_id):
        return request(request_id, " ".join(f"word{i}" for i in range(40)), adapters={ref: 1.0})

    async with running_engine(folder) as engine:
        whole, last = await collect(engine, long("whole"))
    chunk = last.usage.prompt_tokens // 5
    async with running_engine(folder, prefill_chunk_tokens=chunk) as engine:
        alone, _ = await collect(engine, long("alone"))
        assert engine.stats().steps >= 5 + last.usage.completion_tokens - 1
        others = [request(f"other {i}", str(i), max_new_tokens=20) for i in range(3)]
        together = await collect_all(engine, [long("together"), *others, long("second")])
        assert engine.stats().restarts == 0
    assert [alone, together[0][0], together[-1][0]] == [whole] * 3


async def test_a_greedy_reply_equals_transformers_generate(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    turns = [{"role": "user", "content": "hello"}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")
    output = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    async with running_engine(folder) as engine:
        text, last = await collect(engine, request("one", max_new_tokens=20))
        assert engine.count_tokens([ChatMessage("user", "hello")]) == prompt["input_ids"].shape[1]
    assert text == tokenizer.decode(output, skip_special_tokens=True)
    assert last.usage == Usage(prompt["input_ids"].shape[1], len(output))


async def test_a_seed_gives_the_same_reply_in_any_company(folder, refs):
    async with running_engine(folder) as engine:
        seeded = {"temperature": 1.2, "top_p": 0.95, "seed": 11, "max_new_tokens": 24}
        alone, _ = await collect(engine, request("alone", adapters={refs[0]: 1.0}, **seeded))
        others = [request(f"other {i}", str(i), adapters={refs[i]: 1.0}, temperature=1.0, seed=i) for i in range(3)]
        (among, _), *_ = await collect_all(engine, [request("among", adapters={refs[0]: 1.0}, **seeded), *others])
        other_seed, _ = await collect(engine, request("seed", adapters={refs[0]: 1.0}, **{**seeded, "seed": 12}))
    assert among == alone
    assert other_seed != alone


async def test_the_next_turn_of_a_conversation_reuses_its_slot(folder, refs):
    persona = {refs[0]: 1.0}
    async with running_engine(folder) as engine:
        text, first = await collect(engine, request("turn 1", "hello", adapters=persona, conversation_id="channel"))
        history = (ChatMessage("user", "hello"), ChatMessage("assistant", text))

        async def second(request_id, adapters, conversation="channel"):
            again = request(request_id, "and now?", adapters=adapters, conversation_id=conversation, history=history)
            return await collect(engine, again)

        resumed, last = await second("turn 2", persona)
        assert last.usage.cached_tokens >= first.usage.prompt_tokens
        elsewhere, last = await second("elsewhere", persona, conversation="other channel")
        assert elsewhere == resumed
        assert last.usage.cached_tokens >= first.usage.prompt_tokens  # copied from the first channel's slot
        async with running_engine(folder) as other_engine:
            again = request("fresh", "and now?", adapters=persona, history=history)
            fresh, last = await collect(other_engine, again)
        assert (fresh, last.usage.cached_tokens) == (resumed, 0)
        for number, others in enumerate(({refs[1]: 1.0}, {refs[0]: 0.5}, {})):
            _, last = await second(f"weights {number}", others)
            assert last.usage.cached_tokens == 0
        assert engine.stats().cached_tokens > 0


async def test_a_stop_string_ends_the_reply_and_is_not_shown(folder):
    async with running_engine(folder) as engine:
        whole, _ = await collect(engine, request("whole", max_new_tokens=30))
        stop = whole[12:14]
        text, last = await collect(engine, request("stopped", max_new_tokens=30, stop=(stop, "never")))
    assert text == whole[: whole.index(stop)]
    assert last.finish_reason == "stop"


async def test_a_reply_ends_at_the_contexts_edge(folder):
    async with running_engine(folder, max_context_tokens=64) as engine:
        prompt = engine.count_tokens([ChatMessage("user", "hello")])
        _, last = await collect(engine, request("long", max_new_tokens=10_000))
        assert (last.finish_reason, last.usage.completion_tokens) == ("length", 64 - prompt)


async def test_a_prompt_without_room_for_a_reply_is_refused(folder):
    async with running_engine(folder, max_context_tokens=64) as engine:
        with pytest.raises(InvalidInput, match="room for 64"):
            await collect(engine, request("too long", "word " * 100))
        await collect(engine, request("short"))


async def test_a_huge_message_is_refused_like_a_long_one(folder):
    async with running_engine(folder) as engine:
        with pytest.raises(InvalidInput, match="room for"):
            await collect(engine, request("huge", "word " * 20_000))


async def test_a_repeated_request_id_is_refused(folder):
    async with running_engine(folder) as engine:
        stream = engine.submit(request("same", max_new_tokens=50))
        await anext(stream)
        with pytest.raises(InvalidInput, match="running already"):
            await collect(engine, request("same"))
        await stream.aclose()


async def test_cancelling_ends_a_reply_and_frees_its_slot(folder):
    async with running_engine(folder, slots=1) as engine:
        stream = engine.submit(request("first", max_new_tokens=200))
        await anext(stream)
        waiting = asyncio.create_task(collect(engine, request("second")))
        await engine.cancel("first")
        rest = [chunk async for chunk in stream]
        assert rest[-1].finish_reason == "cancelled"
        assert rest[-1].usage.completion_tokens >= 1
        assert (await waiting)[1].finish_reason in ("length", "stop")
        await engine.cancel("nobody")


async def test_closing_the_iterator_cancels(folder):
    async with running_engine(folder, slots=1) as engine:
        stream = engine.submit(request("left", max_new_tokens=200))
        await anext(stream)
        await stream.aclose()
        _, last = await collect(engine, request("next"))
        assert last.finish_reason in ("length", "stop")
        assert engine.stats().running == 0


async def test_a_waiting_reply_can_be_cancelled(folder):
    async with running_engine(folder, slots=1) as engine:
        running = engine.submit(request("running", max_new_tokens=200))
        await anext(running)
        waiting = asyncio.create_task(collect(engine, request("waiting")))
        await asyncio.sleep(0)  # lets the task submit
        await engine.cancel("waiting")
        text, last = await waiting
        assert (text, last.finish_reason) == ("", "cancelled")
        await running.aclose()


async def test_a_reply_whose_adapter_is_being_read_can_be_cancelled(folder, refs):
    async with running_engine(folder) as engine:
        reading = asyncio.create_task(collect(engine, request("reading", adapters={refs[0]: 1.0})))
        await asyncio.sleep(0)  # lets the task submit; the adapter is read in a thread
        await engine.cancel("reading")
        text, last = await reading
        assert (text, last.finish_reason) == ("", "cancelled")


async def test_closing_the_engine_cancels_what_runs(folder):
    async with running_engine(folder) as engine:
        stream = engine.submit(request("running", max_new_tokens=200))
        await anext(stream)
        await engine.close()
        assert [chunk async for chunk in stream][-1].finish_reason == "cancelled"
        assert not engine.is_healthy
        with pytest.raises(EngineFailed, match="not running"):
            await collect(engine, request("late"))


async def test_a_model_that_cannot_run_in_slots_is_served_one_at_a_time(folder, refs, caplog, monkeypatch):
    with monkeypatch.context() as patch:
        patch.delitem(FAMILIES, "llama")
        patch.setattr(LlamaForCausalLM, "_supports_attention_backend", False)  # as of a class that is older than that
        async with running_engine(folder, slots=8) as engine:
            assert engine.slots == 1
            single = await collect_all(engine, mixed_requests(refs, "single "))
    assert caplog.text.count("one at a time") == 1
    async with running_engine(folder) as engine:
        packed = await collect_all(engine, mixed_requests(refs, "packed "))
    assert [text for text, _ in single] == [text for text, _ in packed]


async def test_default_sampling_and_names_come_from_the_model(folder):
    async with running_engine(folder) as engine:
        assert engine.base_model == str(folder)
        assert engine.max_context_tokens == 256
        assert engine.default_sampling.temperature == 0.7
    assert torch.is_grad_enabled()
