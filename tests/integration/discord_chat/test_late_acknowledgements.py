"""An interaction that could not be acknowledged within three seconds: Discord has given it up (10062)."""

from __future__ import annotations

import logging

import pytest

from tests.discord.commands import registered
from tests.discord.rooms import DiscordRoom

CALLBACKS = "/interactions/*/*/callback"


async def acknowledged_too_late(room: DiscordRoom, act):
    """Somebody does this while Discord's API is slow, and goes on when it answers again."""
    fault = room.fake.faults.hang("POST", CALLBACKS)
    interaction = await act
    await fault.struck.wait()
    room.fake.pass_time(4)
    fault.release()
    await room.fake.wait_for(lambda: room.fake.requests_of("POST", CALLBACKS)[-1].status == 404)
    return interaction


async def test_a_question_that_discord_has_given_up_is_not_answered(
    room: DiscordRoom, caplog: pytest.LogCaptureFixture
):
    await registered(room)
    await acknowledged_too_late(room, room.ann.uses("ask", room.channel, question="hello"))
    answer = await room.ask_and_answer("are you there")
    assert answer.content.endswith("are you there")
    assert len(await room.exchanges()) == 1
    assert room.channel.from_bot == [answer]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_press_that_discord_has_given_up_counts_for_nothing(
    room: DiscordRoom, caplog: pytest.LogCaptureFixture
):
    answer = await room.ask_and_answer("hello")
    await acknowledged_too_late(room, room.ann.presses(answer, "👍"))
    await room.ask_and_answer("are you there")
    assert await room.thumbs() == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
