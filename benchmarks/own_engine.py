"""This project's engine as a system under measurement, with the settings it is served with, through its public door.

Tokenising and streaming text are inside what is measured, although the peers start and end at token ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from benchmarks.random_base import RandomBase, words_to_ids
from benchmarks.systems import Capacity, Reply, write_as_they_arrive
from benchmarks.workloads import Request
from core.adapters.folders import KnownFolders
from core.engine.loading import load_base_model
from core.engine.transformers_engine import TransformersEngine
from core.errors import EngineFailed
from core.generation import GenerationRequest, SamplingParams, WeightedAdapter


class OwnEngine:
    """TransformersEngine behind one asyncio loop. Without `has_lora` requests ask for the base model."""

    def __init__(self, base: RandomBase, capacity: Capacity, *, has_lora: bool) -> None:
        self._adapters = base.adapter_refs if has_lora else ()
        self._runner = asyncio.Runner()
        self._engine = TransformersEngine(
            lambda: load_base_model(str(base.model_folder), device="cpu", dtype=base.dtype, quantization="none"),
            adapter_folders=KnownFolders(base.adapter_folders),
            adapter_roots=[base.folder],
            slots=capacity.rows,
            max_context_tokens=capacity.context_tokens,
            adapter_slots=base.adapters,
        )
        self._runner.run(self._engine.start())

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        return self._runner.run(write_as_they_arrive(requests, self._write))

    def close(self) -> None:
        self._runner.run(self._engine.close())
        self._runner.close()

    async def _write(self, request: Request, now_s: Callable[[], float]) -> Reply:
        adapters = (WeightedAdapter(self._adapters[request.adapter], 1.0),) if self._adapters else ()
        sampling = SamplingParams(max_new_tokens=request.new_tokens, temperature=0.0)
        wanted = GenerationRequest(request.request_id, request.request_id, (request.message,), adapters, sampling)
        tokens: list[int] = []
        times: list[float] = []
        async for chunk in self._engine.submit(wanted):
            if chunk.error is not None:
                raise EngineFailed(chunk.error)
            arrived_s = now_s()
            for token in words_to_ids(chunk.text):
                tokens.append(token)
                times.append(arrived_s)
        return Reply(tuple(tokens), tuple(times))


def engine_with_lora(base: RandomBase, capacity: Capacity) -> OwnEngine:
    return OwnEngine(base, capacity, has_lora=True)


def engine_without_lora(base: RandomBase, capacity: Capacity) -> OwnEngine:
    """The engine that has never seen an adapter, so that no layer of its model is wrapped."""
    return OwnEngine(base, capacity, has_lora=False)
