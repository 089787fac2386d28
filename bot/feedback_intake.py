"""Thumbs from buttons, the API and reactions become feedback rows. Knows no chat SDK."""

from __future__ import annotations

from bot.chat_platform import Reaction
from core.store import exchanges, feedback
from core.store.db import Store


async def record_feedback(store: Store, *, exchange_id: str, user_id: str, label: bool | None, source: str) -> None:
    """Note a person's judgement of a reply: the latest counts, None removes it.

    Raises NotFound for an unknown exchange, InvalidInput for one without a finished reply, StoreUnavailable.
    """
    async with store.session() as session:
        await feedback.record(session, exchange_id=exchange_id, user_id=user_id, label=label, source=source)


async def record_reaction(store: Store, reaction: Reaction) -> bool:
    """Note a thumb on a message that shows a reply; False when the message shows none, which happens all the time.

    Raises what `record_feedback` raises.
    """
    source = reaction.message.source
    async with store.session() as session:
        exchange = await exchanges.find_by_delivery(session, source, reaction.message.message_id)
        if exchange is None:
            return False
        await feedback.record(
            session, exchange_id=exchange.id, user_id=reaction.user_id, label=reaction.label, source=source
        )
    return True
