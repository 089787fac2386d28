"""The one rule of which words may be written down: everybody they come from agrees, and so does the place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from core.store import consent
from core.store.db import Session

Obstacle = Literal["person", "place"]
"""Who has not agreed."""


async def obstacle_to_keeping(
    session: Session, people: Collection[str], *, needs_consent: bool, needs_permission: bool, is_text_kept: bool
) -> Obstacle | None:
    """Why the words of these people may not be kept; None where they may.

    `is_text_kept` is what the administrators of the place decided, which counts where `needs_permission`. In a write
    session, nobody's consent changes before the session ends.
    """
    if needs_consent and not await consent.all_have(session, people):
        return "person"
    return "place" if needs_permission and not is_text_kept else None
