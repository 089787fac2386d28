"""Better replies that people wrote: the latest per person and exchange. Knows no chat platform."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import InvalidInput
from core.store import exchanges
from core.store.db import insert
from core.store.models import Correction
from core.text_check import check_text

MAX_CHARS = 20_000


async def add(session: AsyncSession, *, exchange_id: str, user_id: str, text: str, source: str) -> None:
    """Note the reply that a person would rather have read, in place of their former one.

    Raises NotFound for an unknown exchange and InvalidInput for one without a finished reply, and for a text that is
    empty, too long or broken.
    """
    await exchanges.check_finished(session, exchange_id, to_be="corrected")
    if not text.strip():
        raise InvalidInput("The better answer is empty; write what the reply should have said.")
    if len(text) > MAX_CHARS:
        raise InvalidInput(
            f"The better answer is {len(text)} characters long; at most {MAX_CHARS} are kept, send less."
        )
    check_text("The better answer", text)
    written = {"text": text.strip(), "source": source, "given_at": time.time()}
    statement = insert(session, Correction).values(exchange_id=exchange_id, user_id=user_id, **written)
    key = [Correction.exchange_id, Correction.user_id]
    await session.execute(statement.on_conflict_do_update(index_elements=key, set_=written))


async def of_exchange(session: AsyncSession, exchange_id: str) -> list[Correction]:
    """Every person's correction of this exchange, by person."""
    found = await session.scalars(
        select(Correction)
        .where(Correction.exchange_id == exchange_id)
        .order_by(Correction.user_id)
        .execution_options(populate_existing=True)  # `add` writes past the session's own objects
    )
    return list(found)
