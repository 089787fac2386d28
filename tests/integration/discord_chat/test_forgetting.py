"""How far /forget reaches: direct messages, memory, and a reply that is being written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from core.queue.jobs import JobStatus
from core.store import consent
from core.store.models import Delivery, ExchangePlace, Place
from tests.discord.commands import press, registered, use
from tests.discord.rooms import DiscordRoom

pytestmark = pytest.mark.usefixtures("ready")


@pytest.fixture
async def ready(room: DiscordRoom) -> AsyncIterator[None]:
    await registered(room)
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
    yield


async def left_of_dm(room: DiscordRoom) -> list[str]:
    """Everything in the store that names ann's direct messages."""
    dm = await room.ann.opens_dm()
    async with room.service.store.write() as session:
        named = [
            *await session.scalars(select(Delivery.message_id)),
            *await session.scalars(select(ExchangePlace.place_id)),
            *await session.scalars(select(Place.id)),
        ]
    return [name for name in named if str(dm.id) in name]


async def test_forgetting_leaves_nothing_of_direct_messages_and_remembers_nothing(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    await use(room, "persona", in_=dm, name="zen")
    kept = await room.ended(await room.ann.says(dm, "my secret"))
    assert kept.reply == "[zen@1] my secret"
    assert len(await left_of_dm(room)) == 3
    assert room.chat.parts.chat.memory
    await press(room, await use(room, "forget", in_=dm), "Erase everything")
    [nobodys] = await room.exchanges()
    assert (nobodys.user_id, nobodys.prompt, nobodys.reply) == ("", None, None)
    assert await left_of_dm(room) == []
    assert not room.chat.parts.chat.memory


async def test_what_was_typed_into_a_command_is_remembered_no_longer_either(room: DiscordRoom):
    asked = await room.ann.uses("ask", room.channel, question="psst")
    answer = await asked.wait_reply()
    await room.channel.wait_for(lambda _: "reply:delete:" in str(answer.components))
    assert room.chat.parts.chat.memory
    await press(room, await use(room, "forget"), "Erase everything")
    assert not room.chat.parts.chat.memory


async def test_a_persona_that_was_chosen_where_nothing_was_asked_is_forgotten_too(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    await use(room, "persona", in_=dm, name="zen")
    assert len(await left_of_dm(room)) == 1
    await press(room, await use(room, "forget"), "Erase everything")
    assert await left_of_dm(room) == []


async def test_a_reply_that_is_being_written_is_stopped_and_forgotten_and_others_go_on(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    room.gate.close()
    await room.ann.says(dm, "one two three")
    room.gate.let_through(2)
    await dm.wait_for(lambda messages: messages[-1].content.endswith("one"))
    others = await room.asks("four five six", who=room.fake.add_person("ben"))
    await room.channel.wait_for(lambda _: room.channel.from_bot)
    card = await use(room, "forget", in_=dm)
    assert (await press(room, card, "Erase everything")).startswith("You are forgotten: 1 question.")
    room.gate.open()
    assert (await room.answer(others)).content.endswith("four five six")
    [nobodys] = await room.exchanges(user_id="")
    await room.chat.parts.chat.replies.ended(nobodys.id)
    assert (nobodys.status, nobodys.prompt) == (JobStatus.CANCELLED, None)
    assert await left_of_dm(room) == []
    assert room.chat.parts.chat.memory.find(nobodys.id) is None
