"""Feedback on the test personas: a crowd that likes short answers, pairs, and better answers."""

from __future__ import annotations

from collections.abc import Sequence

from core.personas import Persona
from core.settings import Settings
from training.feedback_set import CorrectedReply, FeedbackSet, JudgedReply, PreferredReply

LIKED = "Aye, {0} it is."
DISLIKED = "I cannot say much about {0}, sorry."


def asked(number: int) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": f"Do ye like the number {number}?"},)


def judged(count: int, *, liked: int | None = None) -> tuple[JudgedReply, ...]:
    """Thumbs: up for LIKED, down for DISLIKED. Half of them are up unless `liked` says how many."""
    ups = count // 2 if liked is None else liked
    return tuple(
        JudgedReply(f"j{at}", asked(at), (LIKED if at < ups else DISLIKED).format(at), at < ups, 1.0)
        for at in range(count)
    )


def preferred(count: int) -> tuple[PreferredReply, ...]:
    return tuple(PreferredReply(f"p{at}", asked(at), LIKED.format(at), DISLIKED.format(at)) for at in range(count))


def corrected(count: int) -> tuple[CorrectedReply, ...]:
    return tuple(
        CorrectedReply(f"c{at}", ({"role": "user", "content": f"Who sails ship {at}?"},), f"Captain {at} does.", at)
        for at in range(count)
    )


def feedback_set(
    persona: Persona,
    settings: Settings,
    *,
    judged: Sequence[JudgedReply] = (),
    preferred: Sequence[PreferredReply] = (),
    corrected: Sequence[CorrectedReply] = (),
) -> FeedbackSet:
    ids = tuple(one.exchange_id for one in (*judged, *preferred, *corrected))
    return FeedbackSet(
        persona.slug,
        settings.base_slug,
        tuple(judged),
        tuple(preferred),
        tuple(corrected),
        (),
        {"rows": len(ids)},
        ids,
    )
