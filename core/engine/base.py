"""The Engine protocol and the records it speaks. Knows no torch: processes without an engine import this file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from core.generation import AdapterRef, EngineCapabilities, GenerationRequest, SamplingParams
from core.messages import ChatMessage, ReplyChunk


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """Where an adapter version is: in the stack on the device, in host memory, or only on disk."""

    ref: AdapterRef
    place: Literal["device", "host", "disk"]
    in_use: int = 0
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since start, for /metrics and waiting-time estimates."""

    slots: int
    running: int
    waiting: int
    tokens_generated: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    steps: int = 0
    mean_batch: float = 0.0
    tokens_per_s: float = 0.0
    restarts: int = 0


class Engine(Protocol):
    """Writes replies. One instance owns one base model; everything is called from one asyncio loop."""

    @property
    def base_model(self) -> str:
        """Name of the base model as configured (hub id or folder)."""

    @property
    def max_context_tokens(self) -> int:
        """Prompt plus reply, in tokens."""

    @property
    def slots(self) -> int:
        """How many replies run at once."""

    @property
    def default_sampling(self) -> SamplingParams:
        """The base model's own generation_config, as sampling defaults."""

    @property
    def capabilities(self) -> EngineCapabilities:
        """What it can do with adapters and seeds; a message that asks for more is refused."""

    @property
    def is_healthy(self) -> bool:
        """False once the engine's loop has stopped for good."""

    async def start(self) -> None:
        """Load the model and start the loop. Raises NotFound or EngineFailed with a sentence."""

    async def close(self) -> None:
        """Cancel what runs and free the device."""

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of these messages in the model's own chat template, generation prompt included."""

    def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        """Write one reply. The last chunk carries finish_reason and usage; closing the iterator cancels the request.

        Raises InvalidInput when the prompt leaves no room for a reply, AdapterRejected for an unusable adapter folder
        and EngineFailed when the engine itself broke (the other requests go on).
        """

    async def cancel(self, request_id: str) -> None:
        """End this request; its iterator yields a last chunk "cancelled". Unknown ids are ignored."""

    async def load_adapter(self, ref: AdapterRef, *, pin: bool = False) -> None:
        """Bring an adapter version to the device ahead of its first request. Raises AdapterRejected."""

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter version; running replies finish on it first. Unknown names are ignored."""

    def adapters(self) -> tuple[AdapterStatus, ...]:
        """Every adapter version the engine knows, and where it is."""

    def stats(self) -> EngineStats:
        """A snapshot of the counters."""
