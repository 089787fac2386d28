"""Which adapter version answers. Every reply is decided here, so that a trial of a challenger has one place to go."""

from __future__ import annotations

from collections.abc import Collection

from core.adapters.registry import RegisteredAdapter, Registry
from core.store.db import Session


async def choose_adapters(
    session: Session, registry: Registry, personas: Collection[str], base_slug: str, *, conversation_id: str
) -> dict[str, RegisteredAdapter]:
    """The versions that speak for these personas in a conversation: their champions, in all conversations alike.

    A persona that has no adapter for this base model is left out. A trial would divide by `conversation_id`, so that a
    conversation stays with one version.
    """
    return await registry.champions(session, personas, base_slug)


async def choose_version(
    session: Session, registry: Registry, persona: str, base_slug: str, version: int
) -> dict[str, RegisteredAdapter]:
    """The version of a persona that somebody named, for a duel, say. Raises NotFound."""
    return {persona: await registry.get(session, persona, base_slug, version)}
