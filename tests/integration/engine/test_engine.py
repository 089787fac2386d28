"""The whole engine over tiny real models: several people, several personas, one batch."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.engine.base import AdapterRef
from core.errors import AdapterRejected, EngineFailed, InvalidInput, NotFound
from core.messages import ChatMessage, Usage
from tests.engine_cases import collect, request, running_engine
from tests.tiny_models import ARCHITECTURES, make_adapter, make_tiny_model


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def folder(root):
    return make_tiny_model("llama", root / "base")


@pytest.fixture(scope="module")
def refs(root, folder):
    return [make_adapter(folder, root / f"persona{i}", seed=i + 1) for i in range(5)]


async def collect_all(engine, requests):
    return await asyncio.gather(*(collect(engine, each) for each in requests))


def mixed_requests(refs, prefix):
    """Eight requests: personas, a blend, half strength and the base, with prompts of unequal length."""
    rows = [{refs[0]: 1.0}, {refs[1]: 1.0}, {refs[2]: 1.0}, {}, {refs[0]: 0.5}, {refs[0]: 0.7, refs[1]: 0.3}]
    rows += [{refs[1]: 1.0}, {refs[2]: 0.4, refs[1]: 0.4}]
    return [
        request(f"{prefix}{i}", "hello there " * (1 + i % 3) + str(i), adapters=row, max_new_tokens=10 + 2 * i)
        for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_a_greedy_reply_is_the_same_alone_and_among_seven_others(architecture, tmp_path):
    folder = make_tiny_model(architecture, tmp_path / "base")
    refs = [make_adapter(folder, tmp_path / f"persona{i}", seed=i + 1) for i in range(3)]
    async with running_engine(folder, prefill_chunk_tokens=40) as engine:
        assert engine.slots == 8
        alone = [await collect(engine, each) for each in mixed_requests(refs, "alone ")]
        together = await collect_all(engine, mixed_requests(refs, "together "))
        assert engine.stats().mean_batch > 1.5
    assert [text for text, _ in together] == [text for text, _ in alone]
    assert len({text for text, _ in alone}) == 8


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
        fresh, last = await second("elsewhere", persona, conversation="other channel")
        assert fresh == resumed
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


async def test_a_bad_adapter_fails_only_its_own_request(folder, refs, tmp_path):
    bad = AdapterRef("bad@1", tmp_path, "0" * 64)
    async with running_engine(folder) as engine:
        results = await asyncio.gather(
            collect(engine, request("good", adapters={refs[0]: 1.0})),
            collect(engine, request("bad", adapters={bad: 1.0})),
            return_exceptions=True,
        )
    assert results[0][1].finish_reason in ("length", "stop")
    assert isinstance(results[1], AdapterRejected)


async def test_more_adapters_than_rows_take_turns(folder, refs):
    async with running_engine(folder, adapter_slots=2, host_adapters=3) as engine:
        requests = [request(f"{i}", adapters={refs[i % 5]: 1.0}) for i in range(10)]
        requests.append(request("blend", adapters={refs[0]: 0.5, refs[4]: 0.5}))
        replies = await collect_all(engine, requests)
        for i in range(5):
            alone, _ = await collect(engine, request(f"alone {i}", adapters={refs[i]: 1.0}))
            assert alone == replies[i][0] == replies[i + 5][0]
        places = [status.place for status in engine.adapters()]
        assert places.count("device") == 2
        assert places.count("disk") >= 1
        with pytest.raises(InvalidInput, match="3 adapters"):
            await collect(engine, request("too many", adapters=dict.fromkeys(refs[:3], 0.3)))


async def test_a_new_version_serves_new_replies_while_running_ones_keep_theirs(folder, root, refs):
    old = refs[0]
    new = make_adapter(folder, root / "persona0 next", seed=77, name="persona0@2")
    async with running_engine(folder, adapter_slots=2) as engine:
        expected, _ = await collect(engine, request("expected", adapters={old: 1.0}, max_new_tokens=60))
        running = engine.submit(request("running", adapters={old: 1.0}, max_new_tokens=60))
        text = (await anext(running)).text
        await engine.load_adapter(new, pin=True)
        await engine.unload_adapter(old.name)
        newer, _ = await collect(engine, request("newer", adapters={new: 1.0}, max_new_tokens=60))
        text += "".join([chunk.text async for chunk in running])
        assert text == expected
        assert newer != expected
        assert [(status.ref, status.place, status.is_pinned) for status in engine.adapters()] == [(new, "device", True)]


async def test_loading_ahead_refuses_what_a_request_would(folder, tmp_path):
    async with running_engine(folder) as engine:
        with pytest.raises(AdapterRejected, match="outside the folders"):
            await engine.load_adapter(AdapterRef("bad@1", tmp_path, "0" * 64))
        await engine.unload_adapter("unknown@1")
        assert engine.adapters() == ()


async def test_a_weight_that_is_no_number_is_refused(folder, refs):
    async with running_engine(folder) as engine:
        with pytest.raises(InvalidInput, match="finite"):
            await collect(engine, request("nan", adapters={refs[0]: float("nan")}))


def fail_in_forward(engine, error):
    """Make the model's forward pass raise until the returned handle is removed."""

    def raise_error(module, inputs):
        raise error

    return engine._parts.base.model.model.layers[1].register_forward_pre_hook(raise_error)


async def test_a_failing_step_fails_what_ran_and_the_engine_goes_on(folder, refs, caplog):
    async with running_engine(folder, slots=2) as engine:
        before, _ = await collect(engine, request("before", adapters={refs[0]: 1.0}, conversation_id="channel"))
        running = [engine.submit(request(f"running {i}", max_new_tokens=200)) for i in range(2)]
        for stream in running:
            await anext(stream)
        hook = fail_in_forward(engine, RuntimeError("out of memory"))
        for stream in running:
            last = [chunk async for chunk in stream][-1]
            assert last.finish_reason == "error"
            assert "send the message again" in last.error
        hook.remove()
        after, last = await collect(engine, request("after", adapters={refs[0]: 1.0}, conversation_id="channel"))
        assert after == before
        assert last.usage.cached_tokens == 0
        assert engine.is_healthy
        assert 1 <= engine.stats().restarts <= 2
    assert "out of memory" in caplog.text


async def test_repeated_failures_stop_the_engine_for_good(folder, caplog):
    now = 0.0
    async with running_engine(folder, slots=1, clock=lambda: now) as engine:
        hook = fail_in_forward(engine, RuntimeError("broken"))
        for crash in range(5):
            assert engine.is_healthy
            now += 70 if crash < 2 else 10
            waiting = asyncio.create_task(collect(engine, request(f"waiting {crash}")))
            _, last = await waiting
            assert last.finish_reason == "error"
        assert engine.is_healthy  # two of the five were long ago
        for crash in range(2):
            await collect(engine, request(f"last {crash}"))
        assert not engine.is_healthy
        hook.remove()
        _, last = await collect(engine, request("too late"))
        assert "restart" in last.error
    assert "stops" in caplog.text


async def test_weights_that_give_no_number_fail_only_their_own_reply(folder, refs):
    async with running_engine(folder, slots=2) as engine:
        model = engine._parts.base.model
        expected, _ = await collect(engine, request("expected", "fine", conversation_id="fine"))

        def spoil(module, inputs, output):
            if output.shape[1] > 2:  # a step that prefills; the prompt comes after the decoding reply
                output[0, -1] = float("nan")

        good = engine.submit(request("good", "fine", conversation_id="fine"))
        first = await anext(good)
        hook = model.model.layers[0].mlp.register_forward_hook(spoil)
        _, bad = await collect(engine, request("bad", "spoilt"))
        hook.remove()
        rest = [chunk async for chunk in good]
        assert bad.finish_reason == "error"
        assert "no valid number" in bad.error
        assert first.text + "".join(chunk.text for chunk in rest) == expected
        again, _ = await collect(engine, request("again", "fine", conversation_id="fine"))
        assert again == expected


async def test_a_missing_model_is_reported_by_start(tmp_path):
    with pytest.raises(NotFound, match="nowhere"):
        async with running_engine(tmp_path / "nowhere"):
            pass


async def test_a_model_that_cannot_run_in_slots_is_served_one_at_a_time(folder, refs, caplog):
    with unsupported_attention():
        async with running_engine(folder, slots=8) as engine:
            assert engine.slots == 1
            single = await collect_all(engine, mixed_requests(refs, "single "))
    assert caplog.text.count("one at a time") == 1
    async with running_engine(folder) as engine:
        packed = await collect_all(engine, mixed_requests(refs, "packed "))
    assert [text for text, _ in single] == [text for text, _ in packed]


@contextlib.contextmanager
def unsupported_attention():
    """Llama as a model class from before transformers' attention interface."""
    from transformers import LlamaForCausalLM

    LlamaForCausalLM._supports_attention_backend = False
    try:
        yield
    finally:
        del LlamaForCausalLM._supports_attention_backend


async def test_default_sampling_and_names_come_from_the_model(folder):
    async with running_engine(folder) as engine:
        assert engine.base_model == str(folder)
        assert engine.max_context_tokens == 256
        assert engine.default_sampling.temperature == 0.7
    assert torch.is_grad_enabled()
