"""Which adapter version answers. Every reply is decided here, so that a trial of a challenger has one place to go."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from core.adapters.registry import RegisteredAdapter, Registry


async def choose_adapter(
    session: AsyncSession, registry: Registry, persona: str, base_slug: str, *, conversation_id: str
) -> RegisteredAdapter | None:
    """The version that speaks for a persona in a conversation: the champion, in all of them alike.

    None where the persona has no adapter for this base model. A trial would divide by `conversation_id`, so that a
    conversation stays with one version.
    """
    return await registry.champion(session, persona, base_slug)
