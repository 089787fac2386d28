"""What a retraining did, for people and for programs: counts, what is held back and why, the verdict, the moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.personas import Persona
from training.feedback_set import FeedbackSet, HeldBack

Outcome = Literal["nothing", "too_little", "dry_run", "promoted", "rollout", "forced", "refused", "unchanged"]
SENTENCES: Mapping[str, str] = {
    "promoted": "{version} passed its gate and answers from the next reply on.",
    "rollout": "{version} passed its gate and meets people step by step; {former} answers meanwhile.",
    "forced": "{version} did not pass its gate and answers all the same, because --force was given; this is recorded.",
    "refused": "{version} did not pass its gate; {former} goes on answering.",
    "unchanged": "{version} answers already: this feedback makes the same weights again.",
}


@dataclass(frozen=True, slots=True)
class RetrainReport:
    """`moves` are the aliases that moved, as {"alias", "from", "to"} with version numbers; `overrides` what the command
    line changed of persona.toml; `gate` is the verdict as it is recorded with the version."""

    persona: str
    base_model: str
    outcome: Outcome
    sentence: str
    counts: Mapping[str, int]
    held_back: tuple[HeldBack, ...]
    overrides: Mapping[str, Any]
    manifest: Mapping[str, Any]
    version: str | None = None
    content_hash: str | None = None
    gate: Mapping[str, Any] | None = None
    moves: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)

    @property
    def is_refused(self) -> bool:
        return self.outcome == "refused"

    def to_dict(self) -> dict[str, Any]:
        """The report for scripts; docs/learning.md names the keys."""
        return {
            "persona": self.persona,
            "base_model": self.base_model,
            "outcome": self.outcome,
            "sentence": self.sentence,
            "counts": dict(self.counts),
            "held_back": [
                {"reason": held.reason, "count": held.count, "setting": held.setting} for held in self.held_back
            ],
            "overrides": dict(self.overrides),
            "manifest": dict(self.manifest),
            "version": self.version,
            "content_hash": self.content_hash,
            "gate": None if self.gate is None else dict(self.gate),
            "moves": [dict(move) for move in self.moves],
        }


def count_rows(feedback: FeedbackSet, held_out: int = 0) -> dict[str, int]:
    """How much of each kind trains, and how many votes only measure."""
    up = sum(one.label for one in feedback.judged)
    return {
        "usable": usable(feedback),
        "thumbs_up": up,
        "thumbs_down": len(feedback.judged) - up,
        "picks": len(feedback.preferred),
        "better_answers": len(feedback.corrected),
        "held_out_votes": held_out,
        "held_back": sum(held.count for held in feedback.held_back),
    }


def usable(feedback: FeedbackSet) -> int:
    return len(feedback.judged) + len(feedback.preferred) + len(feedback.corrected)


def too_little(persona: Persona, feedback: FeedbackSet, min_feedback: int) -> str | None:
    """Why there is not enough to learn from, in a sentence; None where there is."""
    found, slug = usable(feedback), persona.slug
    held = max(feedback.held_back, key=lambda one: one.count, default=None)
    if not found and held is None:
        return f"Nobody has judged {slug} on {feedback.base_slug} yet, so there is nothing to learn from."
    total = sum(one.count for one in feedback.held_back)
    why = ""
    if held is not None:
        release = f", which {held.setting} would release" if held.setting else ""
        why = (
            f"; {total} more {'is' if total == 1 else 'are'} held back, most for {held.reason} ({held.count}){release}"
        )
    if found >= max(1, min_feedback):
        return None
    judgements = "judgement" if found == 1 else "judgements"
    advice = f": wait for more, or give --min-feedback {found}" if found else ""
    return f"{slug} has {found} {judgements} that may train, and {max(1, min_feedback)} are asked for{advice}{why}."
