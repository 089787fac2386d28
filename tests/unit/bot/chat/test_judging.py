from __future__ import annotations

import pytest

from bot.chat.judging import record_feedback
from core.errors import NotFound
from core.store import exchanges, feedback
from tests.examples.store import record_answered

MESSAGE_ID = "C1:17.5"


@pytest.fixture
async def exchange_id(store):
    async with store.write() as session:
        answered = await record_answered(session, source="slack")
        await exchanges.add_delivery(session, answered, MESSAGE_ID)
    return answered


async def labels(store, exchange_id):
    async with store.write() as session:
        return {(row.user_id, row.source): row.label for row in await feedback.of_exchanges(session, exchange_id)}


async def test_a_thumb_is_kept_and_taken_away(store, exchange_id):
    await record_feedback(store, exchange_id=exchange_id, user_id="ann", label=False, source="api")
    assert await labels(store, exchange_id) == {("ann", "api"): False}
    await record_feedback(store, exchange_id=exchange_id, user_id="ann", label=None, source="api")
    assert await labels(store, exchange_id) == {}


async def test_a_thumb_for_an_unknown_reply_is_refused(store):
    with pytest.raises(NotFound, match="chatcmpl-0"):
        await record_feedback(store, exchange_id="chatcmpl-0", user_id="ann", label=True, source="api")
