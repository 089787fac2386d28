"""What a worker tells everybody about the engine it feeds. The side that enqueues needs no engine of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.generation import EngineCapabilities, SamplingParams


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """`slots` is how many replies run at once, `max_context_tokens` the room for a prompt with its reply.

    `default_sampling` is the base model's own; the worker puts it below what a job asks for.
    """

    MAX_CHARS_PER_TOKEN: ClassVar[int] = 16  # far beyond any language's; only long runs of one sign have more

    base_model: str
    slots: int
    max_context_tokens: int
    default_sampling: SamplingParams
    capabilities: EngineCapabilities

    @property
    def max_message_chars(self) -> int:
        """What is longer cannot fit into the context, so nobody needs to count its tokens to refuse it."""
        return self.max_context_tokens * self.MAX_CHARS_PER_TOKEN
