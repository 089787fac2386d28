"""What a persona learns from people: frozen records, made by the export and read by trainers. Knows no rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Messages = tuple[dict[str, str], ...]
"""A conversation up to the question, as role and content, without the persona's own system prompt."""


@dataclass(frozen=True, slots=True)
class JudgedReply:
    """A reply that people wanted (`label`) or did not: a row for KTO. The weights of a set are 1 on average."""

    exchange_id: str
    messages: Messages
    reply: str
    label: bool
    weight: float


@dataclass(frozen=True, slots=True)
class PreferredReply:
    """Two replies to one question, and which one people chose: a pair for DPO."""

    exchange_id: str
    messages: Messages
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class CorrectedReply:
    """A better answer that a person wrote, at `given_at` (UTC unix seconds): a row for SFT."""

    exchange_id: str
    messages: Messages
    reply: str
    given_at: float


@dataclass(frozen=True, slots=True)
class HeldBack:
    """How many judgements may not train, and why. `setting` would release them; None where no setting does."""

    reason: str
    count: int
    setting: str | None


@dataclass(frozen=True, slots=True)
class FeedbackSet:
    """All that trains a persona on one base model. `exchange_ids` are all exchanges that anything of it came from.

    `manifest` counts, hashes and explains it, without words of anybody and without anybody's name.
    """

    persona: str
    base_slug: str
    judged: tuple[JudgedReply, ...]
    preferred: tuple[PreferredReply, ...]
    corrected: tuple[CorrectedReply, ...]
    held_back: tuple[HeldBack, ...]
    manifest: dict[str, Any]
    exchange_ids: tuple[str, ...]
