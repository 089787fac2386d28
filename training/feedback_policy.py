"""The numbers by which people's feedback may train a persona, each with its reason. Knows no rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import ValidationError

from core.errors import InvalidInput
from core.personas import FeedbackTable

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FeedbackPolicy:
    """What is held back, and when there is enough to learn from.

    OpenAssistant, LMArena and Langfuse use rules of these kinds; the numbers are first values for a small community.
    """

    sources: frozenset[str] = frozenset({"playground", "terminal", "api", "author"})
    """Where text may be learned from: the setting PERSONAS_TRAINING_SOURCES."""

    min_feedback: int = 100
    """Retraining begins with so many judgements that may be used; fewer teach a small model noise."""

    cool_down_s: float = DAY_S
    """A judgement waits this long, so that its giver, or a moderator, may take it back first."""

    max_per_person_per_day: int = 5
    """Thumbs and picks of one person that count in one day (UTC); the earliest do. 200 votes of one person among 500
    others would be 29 % of the set, and 5 are 1 %."""

    max_corrections_per_person_per_day: int = 20
    """Better answers of one person that count in one day: whoever writes them takes more trouble than who votes."""

    max_person_share: float = 0.05
    """The share of all weight, and of all pairs, that one person may have. With few people it is twice an even share,
    so that a persona may be taught by one person alone."""

    burst_size: int = 20
    """More votes than this of one person within `burst_window_s` are a burst, and none of them counts."""

    burst_window_s: float = 600
    """See `burst_size`."""

    min_votes_for_quarantine: int = 8
    """Nobody is judged by fewer votes that others have voted on, too."""

    quarantine_evidence: float = 100
    """The e-value against "agrees with the others at least half the time" from which nothing of a person counts. At
    most one in so many honest people ever reaches it (see `training.outlier_voters`)."""

    conflict_margin: int = 2
    """Where people disagree on a reply, the majority counts if it is larger by so many; else nobody does."""

    near_duplicate_similarity: float = 0.9
    """Conversations and replies that share so much of their runs of four characters count as the same."""


def feedback_policy(table: FeedbackTable, sources: Collection[str], **overrides: Any) -> FeedbackPolicy:
    """The defaults, what a persona changes of them, and what this run changes of that.

    An override that is None changes nothing. Raises InvalidInput for one that is unknown or out of range.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        changed = FeedbackTable.model_validate(table.model_dump() | given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(FeedbackTable.model_fields)
        raise InvalidInput(f"These rules of feedback cannot be used: {problems}; known are {known}.") from error
    return FeedbackPolicy(sources=frozenset(sources), **changed.model_dump(exclude_none=True))


def describe(policy: FeedbackPolicy) -> dict[str, Any]:
    """The policy as JSON."""
    return asdict(policy) | {"sources": sorted(policy.sources)}


NUMBERS = tuple(field.name for field in fields(FeedbackPolicy) if field.name != "sources")
