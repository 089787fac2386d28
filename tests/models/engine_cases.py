"""Shared by the engine's tests: requests in one line, replies collected, an engine over a tiny model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from core.adapters.content_hash import CONFIG_FILE
from core.adapters.folders import KnownFolders
from core.engine.loading import load_base_model
from core.engine.transformers_engine import TransformersEngine
from core.generation import AdapterRef, GenerationRequest, SamplingParams, WeightedAdapter
from core.messages import ChatMessage, ReplyChunk

GREEDY = 0.0


def request(
    request_id: str,
    text: str = "hello",
    *,
    adapters: dict[AdapterRef, float] | None = None,
    conversation_id: str | None = None,
    history: tuple[ChatMessage, ...] = (),
    max_new_tokens: int = 12,
    temperature: float = GREEDY,
    **sampling: Any,
) -> GenerationRequest:
    """One user message to a row of weights; greedy unless a temperature is given."""
    return GenerationRequest(
        request_id,
        conversation_id or f"conversation of {request_id}",
        (*history, ChatMessage("user", text)),
        tuple(WeightedAdapter(ref, weight) for ref, weight in (adapters or {}).items()),
        SamplingParams(max_new_tokens=max_new_tokens, temperature=temperature, **sampling),
    )


async def collect(engine: TransformersEngine, wanted: GenerationRequest) -> tuple[str, ReplyChunk]:
    """The whole text of a reply, and its last chunk."""
    chunks = [chunk async for chunk in engine.submit(wanted)]
    assert [chunk.finish_reason is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    return "".join(chunk.text for chunk in chunks), chunks[-1]


async def collect_all(engine: TransformersEngine, requests: list[GenerationRequest]) -> list[tuple[str, ReplyChunk]]:
    """Several replies at once."""
    return await asyncio.gather(*(collect(engine, each) for each in requests))


def mixed_requests(refs: list[AdapterRef], prefix: str) -> list[GenerationRequest]:
    """Eight requests: personas, blends, half strength and the base, with prompts and replies of unequal length."""
    rows = [{refs[0]: 1.0}, {refs[1]: 1.0}, {refs[2]: 1.0}, {}, {refs[0]: 0.5}, {refs[0]: 0.7, refs[1]: 0.3}]
    rows += [{refs[1]: 1.0}, {refs[2]: 0.4, refs[1]: 0.4}]
    return [
        request(f"{prefix}{i}", "hello there " * (1 + i % 3) + str(i), adapters=row, max_new_tokens=10 + 2 * i)
        for i, row in enumerate(rows)
    ]


class FoldersBelow:
    """Finds adapters by hashing every folder below a root; tiny ones, so that tests may add to them at any time."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def find(self, ref: AdapterRef) -> Path:
        return await KnownFolders(path.parent for path in self._root.rglob(CONFIG_FILE)).find(ref)


@asynccontextmanager
async def running_engine(
    model_folder: Path, *, adapter_roots: tuple[Path, ...] | None = None, **changes: Any
) -> AsyncIterator[TransformersEngine]:
    """An engine over a model folder in fp32 on the CPU; adapters are read from the folder's siblings."""
    engine = TransformersEngine(
        lambda: load_base_model(str(model_folder), device="cpu", dtype="float32", quantization="none"),
        adapter_folders=FoldersBelow(model_folder.parent),
        adapter_roots=adapter_roots or (model_folder.parent,),
        **{"slots": 8, "max_context_tokens": 256, **changes},
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
