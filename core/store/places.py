"""Which persona or blend answers a conversation. Knows no defaults: a conversation that chose nothing has no row."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.db import insert
from core.store.models import Conversation


async def model_of(session: AsyncSession, conversation_id: str) -> str | None:
    """The canonical blend spec this conversation chose; None when it chose none."""
    return await session.scalar(select(Conversation.model).where(Conversation.id == conversation_id))


async def set_model(session: AsyncSession, conversation_id: str, *, source: str, model: str) -> None:
    """Let `model` (a canonical blend spec or "base") answer this conversation from now on."""
    chosen = {"model": model, "updated_at": time.time()}
    statement = insert(session, Conversation).values(id=conversation_id, source=source, **chosen)
    await session.execute(statement.on_conflict_do_update(index_elements=[Conversation.id], set_=chosen))
