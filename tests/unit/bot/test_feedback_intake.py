from __future__ import annotations

import pytest

from bot.chat_platform import MessageRef, Reaction
from bot.feedback_intake import record_feedback, record_reaction
from core.errors import NotFound
from core.store import exchanges, feedback
from tests.store_examples import record_answered

MESSAGE = MessageRef("slack", "C1", "C1:17.5")


@pytest.fixture
async def exchange_id(store):
    async with store.session() as session:
        answered = await record_answered(session, source="slack")
        await exchanges.add_delivery(session, answered, MESSAGE.message_id)
    return answered


async def labels(store, exchange_id):
    async with store.session() as session:
        return {(row.user_id, row.source): row.label for row in await feedback.of_exchange(session, exchange_id)}


async def test_a_thumb_is_kept_and_taken_away(store, exchange_id):
    await record_feedback(store, exchange_id=exchange_id, user_id="ann", label=False, source="api")
    assert await labels(store, exchange_id) == {("ann", "api"): False}
    await record_feedback(store, exchange_id=exchange_id, user_id="ann", label=None, source="api")
    assert await labels(store, exchange_id) == {}


async def test_a_thumb_for_an_unknown_reply_is_refused(store):
    with pytest.raises(NotFound, match="chatcmpl-0"):
        await record_feedback(store, exchange_id="chatcmpl-0", user_id="ann", label=True, source="api")


async def test_a_reaction_to_the_message_of_a_reply_judges_the_reply(store, exchange_id):
    assert await record_reaction(store, Reaction(MESSAGE, "bob", True)) is True
    assert await labels(store, exchange_id) == {("bob", "slack"): True}
    assert await record_reaction(store, Reaction(MESSAGE, "bob", None)) is True
    assert await labels(store, exchange_id) == {}


async def test_a_reaction_to_any_other_message_is_passed_over(store, exchange_id):
    elsewhere = [MessageRef("slack", "C1", "C1:99"), MessageRef("discord", "C1", MESSAGE.message_id)]
    for message in elsewhere:
        assert await record_reaction(store, Reaction(message, "bob", True)) is False
    assert await labels(store, exchange_id) == {}
