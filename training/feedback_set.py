"""What people said about a persona's replies, ready to be learned from. Plain records; knows no store and no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JudgedReply:
    """A reply under a thumb. `messages` are the conversation without the persona's system prompt."""

    exchange_id: str
    messages: tuple[dict[str, str], ...]
    reply: str
    label: bool
    weight: float


@dataclass(frozen=True, slots=True)
class PreferredReply:
    """Two replies to one conversation, of which a person chose one."""

    exchange_id: str
    messages: tuple[dict[str, str], ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class CorrectedReply:
    """The better answer that a person wrote. `given_at` is a time of the wall clock, in seconds."""

    exchange_id: str
    messages: tuple[dict[str, str], ...]
    reply: str
    given_at: float


@dataclass(frozen=True, slots=True)
class HeldBack:
    """How much is left out for one reason, and the setting that would release it, where one would."""

    reason: str
    count: int
    setting: str | None


@dataclass(frozen=True, slots=True)
class FeedbackSet:
    """Everything that may be learned for one persona on one base model. `manifest` goes into the adapter's lineage."""

    persona: str
    base_slug: str
    judged: tuple[JudgedReply, ...]
    preferred: tuple[PreferredReply, ...]
    corrected: tuple[CorrectedReply, ...]
    held_back: tuple[HeldBack, ...]
    manifest: dict[str, Any]
    exchange_ids: tuple[str, ...]
