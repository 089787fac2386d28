"""What one reply is made of: the records that the bot, the queue and every engine speak. Knows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.errors import InvalidInput
from core.messages import ChatMessage

MAX_NEW_TOKENS_LIMIT = 32_768
MAX_STOP_STRINGS = 8
MAX_STOP_CHARS = 256  # every token that is written is compared with all of them


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. `temperature=0` is greedy. `seed=None` lets the engine draw one.

    `repetition_penalty` (1 is none) covers the prompt and the reply; `presence_penalty` and `frequency_penalty` (0 is
    none) cover the reply alone, as OpenAI means them.
    """

    max_new_tokens: int = 512
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float, float], ...] = (
            ("max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS_LIMIT),
            ("temperature", self.temperature, 0.0, 5.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("top_k", self.top_k, 0, 1_000_000),
            ("repetition_penalty", self.repetition_penalty, 0.1, 10.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
        )
        for name, value, low, high in limits:
            if not low <= value <= high:  # NaN fails this too
                raise InvalidInput(f"{name} is {value}, but must lie between {low:g} and {high:g}.")
        if self.top_p == 0:
            raise InvalidInput(
                "top_p is 0, which leaves no token to choose from; use a value above 0, or temperature 0."
            )
        if len(self.stop) > MAX_STOP_STRINGS or not all(0 < len(text) <= MAX_STOP_CHARS for text in self.stop):
            raise InvalidInput(
                f"stop takes at most {MAX_STOP_STRINGS} strings of 1 to {MAX_STOP_CHARS} characters; send others."
            )
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise InvalidInput(f"seed is {self.seed}, but must fit in 64 bits.")


@dataclass(frozen=True, slots=True)
class SamplingOverrides:
    """What settings, a persona or a message ask of sampling; None leaves it to what they lie over."""

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None

    def given(self) -> dict[str, Any]:
        """What is asked for, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def over(self, lower: SamplingOverrides) -> SamplingOverrides:
        """What these ask for and, where they ask for nothing, what `lower` does."""
        return replace(lower, **self.given())

    def apply(self, sampling: SamplingParams) -> SamplingParams:
        """`sampling` with what is asked for. Raises InvalidInput for a value outside its limits."""
        return replace(sampling, **self.given())


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter version as everybody names it, also to other processes: the side that loads it knows where it lies.

    `name` is "codebeard@3"; `content_hash` is the sha256 of adapter_model.safetensors and adapter_config.json. Two
    refs with the same hash are the same weights.
    """

    name: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class WeightedAdapter:
    """One share of a row of weights: weight 1 is the persona, 0.5 half strength, several make a blend."""

    adapter: AdapterRef
    weight: float


@dataclass(frozen=True, slots=True)
class EngineCapabilities:
    """What an engine can do beyond one adapter at full strength. `can_seed`: the same seed writes the same reply.

    `begins_in_thought`: its chat template opens thoughts before every reply, which then only closes them.
    """

    can_blend: bool = True
    can_set_strength: bool = True
    can_seed: bool = True
    begins_in_thought: bool = False

    def check(self, adapters: Sequence[WeightedAdapter], *, seed: int | None = None) -> None:
        """Refuse what this engine cannot serve: a row of weights, or a seed that was asked for. Raises InvalidInput."""
        if len(adapters) > 1 and not self.can_blend:
            raise InvalidInput("This model cannot blend personas; choose one of them.")
        if not self.can_set_strength and any(share.weight != 1 for share in adapters):
            raise InvalidInput("This model speaks as a persona at full strength only; leave the strength out.")
        if seed is not None and not self.can_seed:
            raise InvalidInput("This model cannot write the same reply again by its seed; leave the seed out.")


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
