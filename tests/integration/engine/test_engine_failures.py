"""What breaks inside a step stays where it broke, and the engine goes on for as long as that makes sense."""

from __future__ import annotations

import asyncio
import sys

import pytest

from core.engine.fused_llama import FusedRunner
from core.errors import NotFound
from tests.models.engine_cases import collect, collect_all, request, running_engine


def fail_in_forward(engine, error):
    """Make the model's forward pass raise until the returned handle is removed."""

    def raise_error(module, inputs):
        raise error

    return layer_of(engine, 1).register_forward_pre_hook(raise_error)


def layer_of(engine, index):
    """The last linear layer of a decoder layer; its output is [tokens, features]."""
    runner = engine._parts.loop._runner
    runner = getattr(runner, "inner", runner)  # of the one that tunes threads
    assert isinstance(runner, FusedRunner)
    return runner.layers[index].down.linear


def fail_where(engine, is_bad):
    """Make those steps raise of which `is_bad` says so, given the sizes of the steps so far."""
    sizes = []

    def look(module, inputs):
        sizes.append(inputs[0].shape[1])
        if is_bad(sizes):
            raise RuntimeError("out of memory")

    return engine._parts.base.model.model.embed_tokens.register_forward_pre_hook(look)


def three_requests(refs, prefix):
    """Greedy, drawn, and drawn with a memory of what was said."""
    return [
        request(f"{prefix} greedy", max_new_tokens=60),
        request(f"{prefix} drawn", adapters={refs[0]: 1.0}, max_new_tokens=60, temperature=1.0, seed=7),
        request(f"{prefix} penalised", max_new_tokens=60, temperature=1.0, seed=8, repetition_penalty=1.3),
    ]


async def test_a_step_that_fails_once_costs_nobody_a_word(folder, refs, caplog):
    async with running_engine(folder, slots=3) as engine:
        expected = await collect_all(engine, three_requests(refs, "before"))
        handle = fail_where(engine, lambda sizes: len(sizes) == 20)
        replies = await collect_all(engine, three_requests(refs, "during"))
        handle.remove()
        assert [text for text, _ in replies] == [text for text, _ in expected]
        assert [last.finish_reason for _, last in replies] == [last.finish_reason for _, last in expected]
        tokens = [last.usage.completion_tokens for _, last in replies]
        assert tokens == [last.usage.completion_tokens for _, last in expected]
        assert max(tokens) > 20
        assert engine.stats().restarts == 1
        assert engine.is_healthy
    assert "out of memory" in caplog.text


async def test_only_the_reply_that_fails_by_itself_is_lost(folder, refs):
    async with running_engine(folder, slots=4) as engine:
        expected = await collect_all(engine, three_requests(refs, "before"))
        handle = fail_where(engine, lambda sizes: sizes[-1] > 100)
        good = [engine.submit(each) for each in three_requests(refs, "during")]
        firsts = [(await anext(stream)).text for stream in good]
        _, bad = await collect(engine, request("bad", "poison " * 20))
        texts = [
            first + "".join([chunk.text async for chunk in stream]) for first, stream in zip(firsts, good, strict=True)
        ]
        handle.remove()
        assert bad.finish_reason == "error"
        assert "send the message again" in bad.error
        assert texts == [text for text, _ in expected]
        assert engine.stats().restarts == 2
        _, last = await collect(engine, request("after", "poison " * 20))
        assert last.finish_reason in ("stop", "length")


async def test_where_every_step_fails_every_reply_fails_and_the_engine_goes_on(folder, refs):
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


async def test_a_reply_that_is_cancelled_before_its_second_try_ends_cancelled(folder):
    async with running_engine(folder, slots=1) as engine:
        stream = engine.submit(request("first", max_new_tokens=200))
        await anext(stream)
        loop = engine._parts.loop

        def crash_and_cancel():
            loop.call(lambda: loop.cancel("first"))
            raise RuntimeError("broken")

        loop.call(crash_and_cancel)
        last = [chunk async for chunk in stream][-1]
        assert last.finish_reason == "cancelled"
        assert engine.stats().running == engine.stats().waiting == 0


async def test_an_engine_that_cannot_recover_stops_and_tells_everybody(folder, monkeypatch, caplog):
    async with running_engine(folder, slots=1) as engine:

        def broken():
            raise RuntimeError("the device is lost")

        monkeypatch.setattr(engine._parts.loop._runner, "reset", broken)
        streams = [engine.submit(request(f"running {i}", max_new_tokens=200)) for i in range(2)]
        waiting = asyncio.create_task(anext(streams[1]))
        await anext(streams[0])
        hook = fail_in_forward(engine, RuntimeError("broken"))
        last = [chunk async for chunk in streams[0]][-1]
        assert "restart" in last.error
        assert "restart" in (await waiting).error
        assert not engine.is_healthy
        hook.remove()
        _, last = await collect(engine, request("too late"))
        assert "restart" in last.error
    assert "the device is lost" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_engine_whose_thread_has_died_is_not_healthy(folder):
    async with running_engine(folder, slots=1) as engine:
        assert engine.is_healthy
        engine._parts.loop.call(sys.exit)  # no Exception, so the loop does not survive it
        await asyncio.to_thread(engine._thread.join)
        assert not engine.is_healthy


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
        expected, _ = await collect(engine, request("expected", "fine", conversation_id="fine"))

        def spoil(module, inputs, output):
            if len(output) > 2:  # a step that prefills; the prompt comes after the decoding reply
                output[-1] = float("nan")

        good = engine.submit(request("good", "fine", conversation_id="fine"))
        first = await anext(good)
        hook = layer_of(engine, 0).register_forward_hook(spoil)
        _, bad = await collect(engine, request("bad", "spoilt"))
        hook.remove()
        rest = [chunk async for chunk in good]
        assert bad.finish_reason == "error"
        assert "no valid number" in bad.error
        assert first.text + "".join(chunk.text for chunk in rest) == expected
        again, _ = await collect(engine, request("again", "fine", conversation_id="fine"))
        assert again == expected


async def test_a_prompt_cancelled_while_it_is_read_leaves_nothing_in_its_slot(folder):
    async with running_engine(folder, slots=1, prefill_chunk_tokens=4) as engine:
        loop = engine._parts.loop
        expected, _ = await collect(engine, request("expected", "fine"))
        steps = 0

        def spoil_and_cancel(module, inputs, output):
            nonlocal steps
            steps += 1
            if steps == 2:
                output[-1] = float("nan")
                loop.call(lambda: loop.cancel("long"))

        hook = layer_of(engine, 0).register_forward_hook(spoil_and_cancel)
        _, last = await collect(engine, request("long", "word " * 20))
        hook.remove()
        assert last.finish_reason == "cancelled"
        again, last = await collect(engine, request("again", "fine"))
        assert (again, last.finish_reason) == (expected, "length")


async def test_a_missing_model_is_reported_by_start(tmp_path):
    with pytest.raises(NotFound, match="nowhere"):
        async with running_engine(tmp_path / "nowhere"):
            pass
