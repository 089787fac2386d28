"""An engine that is built when it is started. Knows only the Engine protocol.

A server is up before its model is: torch is imported by `start`, in a thread, and never by this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from core.daemon_thread import in_daemon_thread
from core.engine.base import AdapterStatus, Engine, EngineStats
from core.errors import EngineFailed
from core.generation import AdapterRef, EngineCapabilities, GenerationRequest, SamplingParams
from core.messages import ChatMessage, ReplyChunk


class DeferredEngine:
    """Implements `core.engine.base.Engine` with the engine that `make` builds.

    Before `start` it is not healthy, has no adapters and counts nothing, and everything else raises EngineFailed.
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engine: Engine | None = None

    @property
    def base_model(self) -> str:
        return self._started.base_model

    @property
    def max_context_tokens(self) -> int:
        return self._started.max_context_tokens

    @property
    def slots(self) -> int:
        return self._started.slots

    @property
    def default_sampling(self) -> SamplingParams:
        return self._started.default_sampling

    @property
    def capabilities(self) -> EngineCapabilities:
        return self._started.capabilities

    @property
    def is_healthy(self) -> bool:
        return self._engine is not None and self._engine.is_healthy

    async def start(self) -> None:
        """Build the engine and load its model. Raises what those raise; the engine is there only when both worked."""
        engine = await in_daemon_thread("engine", self._make)  # imports torch
        await asyncio.shield(engine.start())  # a load cannot be cancelled, only left behind
        self._engine = engine

    async def close(self) -> None:
        """Close the engine. One that is still loading is left to its thread, which ends with the process."""
        if self._engine is not None:
            await self._engine.close()
            self._engine = None

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return self._started.count_tokens(messages)

    def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        return self._started.submit(request)

    async def cancel(self, request_id: str) -> None:
        if self._engine is not None:
            await self._engine.cancel(request_id)

    async def load_adapter(self, ref: AdapterRef, *, pin: bool = False) -> None:
        await self._started.load_adapter(ref, pin=pin)

    async def unload_adapter(self, name: str) -> None:
        await self._started.unload_adapter(name)

    def adapters(self) -> tuple[AdapterStatus, ...]:
        return () if self._engine is None else self._engine.adapters()

    def stats(self) -> EngineStats:
        return EngineStats(slots=0, running=0, waiting=0) if self._engine is None else self._engine.stats()

    @property
    def _started(self) -> Engine:
        if self._engine is None:
            raise EngineFailed("The engine is not running; start it first.")
        return self._engine
