"""What a worker tells everybody about the engine it feeds. The side that enqueues needs no engine of its own."""

from __future__ import annotations

from dataclasses import dataclass

from core.generation import EngineCapabilities, SamplingParams


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """`slots` is how many replies run at once, `max_context_tokens` the room for a prompt with its reply.

    `default_sampling` is the base model's own; the worker puts it below what a job asks for.
    """

    base_model: str
    slots: int
    max_context_tokens: int
    default_sampling: SamplingParams
    capabilities: EngineCapabilities
