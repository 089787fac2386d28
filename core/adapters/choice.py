"""Which adapter version answers. Every reply is decided here, and only here is a conversation dealt to a challenger."""

from __future__ import annotations

from collections.abc import Collection

from core.adapters.registry import RegisteredAdapter, Registry
from core.adapters.rollout import is_dealt_to_challenger
from core.personas import RolloutTable
from core.store import rollouts
from core.store.db import Session
from core.store.models import Rollout


async def choose_adapters(
    session: Session, registry: Registry, personas: Collection[str], base_slug: str, *, conversation_id: str
) -> dict[str, RegisteredAdapter]:
    """The versions that speak for these personas in a conversation: their champions, or a challenger in its canary.

    A persona that has no adapter for this base model is left out. While a canary runs, a conversation stays with the
    version that answered in it last; a new one is dealt by its id. So nobody meets two versions in one conversation
    but where a version was promoted or rolled back.
    """
    chosen = await registry.champions(session, personas, base_slug)
    for rollout in await rollouts.running(session, chosen, base_slug):
        if rollout.stage == "canary" and chosen[rollout.persona].version == rollout.champion:
            challenger = await registry.get(session, rollout.persona, base_slug, rollout.challenger)
            if await _is_for_challenger(session, rollout, challenger.ref.content_hash, conversation_id):
                chosen[rollout.persona] = challenger
    return chosen


async def _is_for_challenger(session: Session, rollout: Rollout, challenger: str, conversation_id: str) -> bool:
    last = await rollouts.last_answered(session, conversation_id, rollout.persona)
    if last is not None:
        return last == challenger
    share = RolloutTable(**rollout.settings).canary_share
    return not rollout.is_paused and is_dealt_to_challenger(conversation_id, challenger, share)


async def choose_version(
    session: Session, registry: Registry, persona: str, base_slug: str, version: int
) -> dict[str, RegisteredAdapter]:
    """The version of a persona that somebody named, for a duel, say. Raises NotFound."""
    return {persona: await registry.get(session, persona, base_slug, version)}
