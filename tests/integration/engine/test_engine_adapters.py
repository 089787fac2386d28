"""Adapters come and go while the engine writes: rows, versions, bad folders."""

from __future__ import annotations

import asyncio

import pytest
import torch

from core.engine.multi_lora import AdapterStack
from core.errors import AdapterRejected, EngineFailed, InvalidInput
from core.generation import AdapterRef
from tests.models.engine_cases import collect, collect_all, request, running_engine
from tests.models.tiny_models import make_adapter


async def test_an_adapter_that_is_not_here_fails_only_its_own_request(folder, refs):
    bad = AdapterRef("bad@1", "0" * 64)
    async with running_engine(folder) as engine:
        results = await asyncio.gather(
            collect(engine, request("good", adapters={refs[0]: 1.0})),
            collect(engine, request("bad", adapters={bad: 1.0})),
            return_exceptions=True,
        )
    assert results[0][1].finish_reason in ("length", "stop")
    assert isinstance(results[1], AdapterRejected)
    assert str(results[1]).startswith("No adapter on this machine has the content 000000000000… of bad@1; ")


async def test_an_adapter_that_the_device_has_no_memory_for_fails_only_its_own_request(
    folder, refs, monkeypatch, caplog
):
    load = AdapterStack.load

    def load_if_small(stack, row, adapter):
        if adapter.ref == refs[1]:
            raise torch.OutOfMemoryError("out of memory")
        load(stack, row, adapter)

    async with running_engine(folder) as engine:
        monkeypatch.setattr(AdapterStack, "load", load_if_small)
        (_, small), (_, large) = await collect_all(
            engine, [request("small", adapters={refs[0]: 1.0}), request("large", adapters={refs[1]: 1.0})]
        )
        assert small.finish_reason in ("length", "stop")
        assert large.finish_reason == "error"
        assert "no memory" in large.error
        with pytest.raises(EngineFailed, match="no memory"):
            await engine.load_adapter(refs[1])
        monkeypatch.undo()
        _, again = await collect(engine, request("again", adapters={refs[1]: 1.0}))
        assert again.finish_reason in ("length", "stop")
        assert engine.stats().restarts == 0
    assert "could not be loaded" in caplog.text


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


async def test_loading_ahead_refuses_what_a_request_would(folder, refs, tmp_path):
    async with running_engine(folder, adapter_roots=(tmp_path,)) as engine:
        with pytest.raises(AdapterRejected, match="outside the folders"):
            await engine.load_adapter(refs[0])
        await engine.unload_adapter("unknown@1")
        assert engine.adapters() == ()


async def test_a_weight_that_is_no_number_is_refused(folder, refs):
    async with running_engine(folder) as engine:
        with pytest.raises(InvalidInput, match="finite"):
            await collect(engine, request("nan", adapters={refs[0]: float("nan")}))
