"""Feedback in the store -> what a persona may learn from it. Joins the query, the rules and the manifest."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.store import trainable
from core.store.consent import CONSENT_VERSION
from core.store.db import Store
from core.store.trainable import Signal
from training.feedback_policy import FeedbackPolicy, describe
from training.feedback_rules import Decided, decide
from training.feedback_set import FeedbackSet, HeldBack

CLEAN_SOURCES = frozenset({"playground", "terminal", "api", "author"})  # as in the view: none needs a consent

SETTINGS: dict[str, str | None] = {
    "text_not_kept": None,
    "consent": None,
    "not_alone": None,
    "base_model": None,
    "version_unknown": None,
    "cut_short": None,
    "source": "PERSONAS_TRAINING_SOURCES",
    "cool_down": "[feedback] cool_down_s",
    "empty": None,
    "secret": None,
    "personal_data": None,
    "quarantine": "[feedback] quarantine_evidence",
    "burst": "[feedback] burst_size",
    "repeated": None,
    "daily_cap": "[feedback] max_per_person_per_day",
    "corrections_cap": "[feedback] max_corrections_per_person_per_day",
    "near_equal": "[feedback] near_duplicate_similarity",
    "person_share": "[feedback] max_person_share",
    "conflict": "[feedback] conflict_margin",
}
"""Every reason to hold a judgement back, in the order in which they apply, and the setting that would release it."""


async def export_feedback(
    store: Store, persona: str, base_slug: str, policy: FeedbackPolicy, *, now: float
) -> FeedbackSet:
    """What people's judgements of a persona, named by its slug, may train at `now` (unix seconds).

    Raises StoreUnavailable.
    """
    async with store.read() as session:
        signals = await trainable.find(
            session,
            persona=persona,
            base_model=base_slug,
            sources=policy.sources,
            given_before=now - policy.cool_down_s,
        )
    decided = await asyncio.to_thread(decide, signals, policy)  # may take a while, and others use this loop
    reasons = Counter(decided.held_back.values())
    held_back = tuple(HeldBack(reason, reasons[reason], SETTINGS[reason]) for reason in SETTINGS if reasons[reason])
    return FeedbackSet(
        persona,
        base_slug,
        decided.judged,
        decided.preferred,
        decided.corrected,
        held_back,
        _manifest(persona, base_slug, policy, signals, decided, held_back, now),
        _exchange_ids(decided),
    )


def _exchange_ids(decided: Decided) -> tuple[str, ...]:
    """Those, too, whose replies were merged into another's, so that forgetting finds what they taught."""
    ids = {signal.exchange_id for signal in decided.used}
    return tuple(sorted(ids | {signal.rejected_id for signal in decided.used if signal.rejected_id is not None}))


def _manifest(
    persona: str,
    base_slug: str,
    policy: FeedbackPolicy,
    signals: Sequence[Signal],
    decided: Decided,
    held_back: Sequence[HeldBack],
    now: float,
) -> dict[str, Any]:
    sources = Counter(signal.source for signal in decided.used)
    return {
        "persona": persona,
        "base_model": base_slug,
        "created_at": now,
        "sha256": _hash(decided),
        "ids": [hashlib.sha256(exchange_id.encode()).hexdigest() for exchange_id in _exchange_ids(decided)],
        "judgements": {"found": len(signals), "used": len(decided.used), "held_back": len(decided.held_back)},
        "held_back": {held.reason: held.count for held in held_back},
        "rows": {
            "judged": len(decided.judged),
            "up": sum(row.label for row in decided.judged),
            "down": sum(not row.label for row in decided.judged),
            "preferred": len(decided.preferred),
            "corrected": len(decided.corrected),
        },
        "people": len({signal.user_id for signal in decided.used}),
        "sources": dict(sorted(sources.items())),
        "permissions": {source: _permission(source) for source in sorted(sources)},
        "policy": describe(policy),
    }


def _permission(source: str) -> str:
    """By what right text of a source trains."""
    if source in CLEAN_SOURCES:
        return "the operator's own service"
    return (
        f"the operator named {source} in PERSONAS_TRAINING_SOURCES, and everybody involved agrees to version"
        f" {CONSENT_VERSION} of the consent"
    )


def _hash(decided: Decided) -> str:
    """sha256 over the sorted ids of all rows, each with what is learned of it."""
    rows = [["judged", r.exchange_id, r.label, round(r.weight, 9), r.messages, r.reply] for r in decided.judged]
    rows += [["preferred", r.exchange_id, r.messages, r.chosen, r.rejected] for r in decided.preferred]
    rows += [["corrected", r.exchange_id, r.messages, r.reply] for r in decided.corrected]
    lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
