"""Connecting, staying connected through Discord's troubles, and leaving in good order."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from bot.discord_chat.client import DiscordChat
from core.errors import InvalidSetting
from tests.discord.rooms import DiscordRoom, connected, discord_room, echo_service
from tests.fakes.fake_discord.server import FakeDiscord

HEADER = "**🏴 Captain Codebeard**\n"
MESSAGES = "/channels/*/messages"
MESSAGE = "/channels/*/messages/*"


async def test_a_bad_token_ends_with_one_sentence(tmp_path: Path):
    async with FakeDiscord() as fake, echo_service(tmp_path, fake, discord_token="bad.token") as service:
        chat = DiscordChat(service, service.settings)
        with pytest.raises(InvalidSetting, match="does not accept PERSONAS_DISCORD_TOKEN"):
            await chat.run()
        await chat.close()


async def test_a_missing_token_is_named(tmp_path: Path):
    async with FakeDiscord() as fake, echo_service(tmp_path, fake, discord_token=None) as service:
        with pytest.raises(InvalidSetting, match="PERSONAS_DISCORD_TOKEN is not set"):
            await DiscordChat(service, service.settings).run()


async def test_the_content_intent_is_asked_for_only_where_it_was_given(room: DiscordRoom):
    assert not room.chat.parts.connection.has_message_content
    await room.ask_and_answer("hello")


async def test_with_the_content_intent_everything_is_read(open_room: DiscordRoom):
    assert open_room.chat.parts.connection.has_message_content


async def test_an_intent_taken_away_meanwhile_is_done_without(tmp_path: Path):
    async with discord_room(tmp_path, message_content=True) as room:
        await room.chat.close()
        room.fake.application.message_content = False
        chat = DiscordChat(room.service, room.service.settings)
        chat._may_read_all = True  # as the application said a moment ago
        running = asyncio.create_task(chat.run())
        room.chat = chat
        await room.fake.gateway.wait_connected()
        assert (await room.ask_and_answer("hello")).content.endswith("hello")
        assert not chat.parts.connection.has_message_content
        await chat.close()
        await running


async def test_the_token_is_never_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        async with discord_room(tmp_path) as room:
            await room.ask_and_answer("hello")
            token = room.fake.token
    assert token not in caplog.text


async def test_a_dropped_gateway_resumes_and_the_reply_ends_whole(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three four")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    await room.fake.gateway.drop()
    await room.fake.gateway.wait_resumed()
    room.gate.open()
    assert (await room.answer(question)).content == HEADER + "[codebeard@1] one two three four"
    assert (await room.ask_and_answer("and again")).content.endswith("and again")


async def test_a_session_that_cannot_be_resumed_begins_anew(room: DiscordRoom):
    await room.ask_and_answer("one")
    room.fake.gateway.forget_sessions()
    await room.fake.gateway.drop()
    await room.fake.gateway.wait_connected()
    assert (await room.ask_and_answer("two")).content.endswith("two")


async def test_rate_limits_are_waited_out(room: DiscordRoom):
    fault = room.fake.faults.refuse("POST", MESSAGES, 429, times=2)
    room.fake.faults.refuse("PATCH", MESSAGE, 429, times=2)
    answer = await room.ask_and_answer("hello")
    assert answer.content == HEADER + "[codebeard@1] hello"
    assert fault.hits == 2


async def test_server_errors_are_tried_again(room: DiscordRoom):
    room.fake.faults.refuse("POST", MESSAGES, 502)
    room.fake.faults.refuse("PATCH", MESSAGE, 503)
    assert (await room.ask_and_answer("hello")).content == HEADER + "[codebeard@1] hello"


async def test_a_message_whose_confirmation_is_lost_is_shown_once(room: DiscordRoom):
    room.fake.faults.lose_answer("POST", MESSAGES)
    assert (await room.ask_and_answer("hello")).content == HEADER + "[codebeard@1] hello"
    assert len(room.channel.from_bot) == 1


async def test_a_channel_where_the_bot_may_not_write_is_met_with_silence(room: DiscordRoom):
    quiet = room.channel.guild.add_channel("quiet")
    quiet.forbid_bot("send_messages")
    question = await room.ann.says(quiet, "hello", mentions_bot=True)
    exchange = await room.ended(question)
    assert exchange.status == "cancelled"
    assert quiet.from_bot == []
    assert (await room.ask_and_answer("here then")).content.endswith("here then")


async def test_without_the_right_to_read_the_history_the_answer_stands_alone(room: DiscordRoom):
    blind = room.channel.guild.add_channel("blind")
    blind.forbid_bot("read_message_history")
    question = await room.ann.says(blind, "hello", mentions_bot=True)
    answer = await room.answer(question)
    assert answer.content == HEADER + "[codebeard@1] hello"
    assert answer.reply_to is None


async def test_closed_direct_messages_are_met_with_silence(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    await room.ann.closes_dms()
    question = await room.ann.says(dm, "hello")
    assert (await room.ended(question)).status == "cancelled"


async def test_a_question_deleted_before_its_answer_is_posted_harms_nobody(room: DiscordRoom):
    fault = room.fake.faults.hang("POST", MESSAGES)
    question = await room.asks("hello")
    await fault.struck.wait()
    await room.ann.deletes(question)
    fault.release()
    assert (await room.ended(question)).status == "cancelled"
    answer = await room.ask_and_answer("next")
    assert room.channel.from_bot == [answer]


async def test_leaving_lets_running_replies_end_and_tells_who_asks_meanwhile(tmp_path: Path):
    async with discord_room(tmp_path) as room:
        object.__setattr__(room.chat._settings, "drain_timeout_s", 60.0)
        room.gate.close()
        question = await room.asks("one two three")
        await room.gate.wait_until_held()
        leaving = asyncio.create_task(room.chat.close())
        await asyncio.sleep(0)  # it takes nothing new from its first step on
        await room.asks("me too")
        await room.channel.wait_for(lambda messages: "being restarted" in messages[-1].content)
        room.gate.open()
        await leaving
        answer = await room.answer(question)
        assert answer.content == HEADER + "[codebeard@1] one two three"


async def test_leaving_without_patience_stops_replies_with_a_word(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    await room.chat.close()
    answer = await room.answer(question)
    assert answer.content == HEADER + "[codebeard@1] one\n(stopped)"


async def test_the_bot_waits_for_a_discord_that_is_away(tmp_path: Path):
    async with FakeDiscord() as fake, echo_service(tmp_path, fake) as service:
        fake.add_guild("harbour")
        fault = fake.faults.cut("GET", "/users/@me")
        async with connected(fake, service):
            assert fault.hits == 1
