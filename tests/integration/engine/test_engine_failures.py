"""What breaks inside a step stays where it broke, and the engine goes on for as long as that makes sense."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import NotFound
from tests.engine_cases import collect, request, running_engine


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
