"""One unit of queued work, its states, and what its reader is told. Knows no queue, no engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from core.generation import SamplingOverrides, WeightedAdapter
from core.messages import ChatMessage, ReplyChunk


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class ReplyJob:
    """Everything a worker needs to write one reply. `exchange_id` names the ledger row and the job.

    `user_id` is whose turn it takes. `messages` is the conversation without the persona's system prompt, which stands
    in `system_prompt`; the worker fits both into the model's token budget (`core.prompts.build`), and puts `sampling`,
    which has a seed, over the model's own defaults. It names nothing that only one machine has.

    `timeout_s` is how long the reply may take from when it is enqueued, and in a job that was fetched what is left of
    that. It is no point in time, so no two clocks are ever compared, and a clock that is set ends no reply.
    """

    exchange_id: str
    conversation_id: str
    messages: tuple[ChatMessage, ...]
    user_id: str = ""
    system_prompt: str = ""
    adapters: tuple[WeightedAdapter, ...] = ()
    sampling: SamplingOverrides = field(default_factory=SamplingOverrides)
    enqueued_at: float = 0.0
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """`position` 0 is running or next; `estimated_wait_s` is None until the queue has seen a reply finish."""

    position: int
    estimated_wait_s: float | None


ReplyUpdate = QueuePosition | ReplyChunk
"""What a reader gets of one reply: where it stands while it waits, and then its text."""
