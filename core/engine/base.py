"""The Engine protocol and the records it speaks. Knows no torch: a Discord process imports this file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from core.errors import InvalidInput
from core.messages import ChatMessage, ReplyChunk

MAX_NEW_TOKENS_LIMIT = 32_768
MAX_STOP_STRINGS = 8


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. `temperature=0` is greedy. `seed=None` lets the responder draw one."""

    max_new_tokens: int = 512
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float, float], ...] = (
            ("max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS_LIMIT),
            ("temperature", self.temperature, 0.0, 5.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("top_k", self.top_k, 0, 1_000_000),
            ("repetition_penalty", self.repetition_penalty, 0.1, 10.0),
        )
        for name, value, low, high in limits:
            if not low <= value <= high:  # NaN fails this too
                raise InvalidInput(f"{name} is {value}, but must lie between {low:g} and {high:g}.")
        if self.top_p == 0:
            raise InvalidInput(
                "top_p is 0, which leaves no token to choose from; use a value above 0, or temperature 0."
            )
        if len(self.stop) > MAX_STOP_STRINGS or any(not text for text in self.stop):
            raise InvalidInput(f"stop takes at most {MAX_STOP_STRINGS} strings, none of them empty.")
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise InvalidInput(f"seed is {self.seed}, but must fit in 64 bits.")


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter version as an engine needs it: a folder in PEFT's format and the hash of its content.

    `name` is "codebeard@3"; `content_hash` is the sha256 of adapter_model.safetensors and adapter_config.json. Two
    refs with the same hash are the same weights.
    """

    name: str
    path: Path
    content_hash: str


@dataclass(frozen=True, slots=True)
class WeightedAdapter:
    """One share of a row of weights: weight 1 is the persona, 0.5 half strength, several make a blend."""

    adapter: AdapterRef
    weight: float


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One reply to write. `adapters=()` is the base model; `messages` hold the system prompt and fit the budget.

    `conversation_id` lets the engine reuse the slot of the conversation's last turn; it never changes the text.
    """

    request_id: str
    conversation_id: str
    messages: tuple[ChatMessage, ...]
    adapters: tuple[WeightedAdapter, ...] = ()
    sampling: SamplingParams = field(default_factory=SamplingParams)


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
