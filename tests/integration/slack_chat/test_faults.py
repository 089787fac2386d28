"""Slack in trouble: what fails, ends too early, comes twice or is refused, and what becomes of the reply."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from bot.chat import calls
from bot.slack_chat.client import SlackChat
from core.errors import InvalidSetting
from core.queue.jobs import JobStatus
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.rooms import SlackRoom, connected, echo_service, slack_room

WORDS = "one two three four"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0, 0.0))


async def half_written(room: SlackRoom) -> tuple[Message, Message]:
    """A question, and its answer of which two words are shown; the engine's gate is closed."""
    room.gate.close()
    question = await room.asks(WORDS)
    room.gate.let_through(2)
    half = await room.channel.wait_for(
        lambda _: next((one for one in room.channel.from_bot if "one" in one.content), None)
    )
    return question, half


async def shown(room: SlackRoom, question: Message) -> str:
    """All that the bot shows in the question's thread."""
    await room.ended(question)
    return "\n".join(one.content for one in room.channel.thread(question) if one.author is room.fake.bot)


# the socket


async def test_a_socket_that_drops_in_mid_reply_is_opened_again_and_the_reply_ends_whole(room: SlackRoom):
    question, half = await half_written(room)
    await room.fake.socket.drop()
    await room.fake.socket.wait_connected(2)
    room.gate.open()
    assert (await room.answer(question)) is half
    assert WORDS in half.content
    assert WORDS in (await room.ask_and_answer(WORDS)).content


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_slack_may_ask_for_a_new_socket(room: SlackRoom, reason: str):
    await room.fake.socket.ask_reconnect(reason)
    await room.fake.socket.wait_connected(2)
    assert WORDS in (await room.ask_and_answer(WORDS)).content


async def test_what_was_said_while_no_socket_was_open_is_answered(room: SlackRoom):
    await room.fake.socket.drop()
    question = await room.asks(WORDS)
    await room.fake.socket.wait_connected(2)
    assert WORDS in (await room.answer(question)).content


# events


async def test_a_mention_that_comes_as_two_events_is_answered_once(room: SlackRoom):
    question = await room.asks(WORDS)
    await room.answer(question)
    await room.fake.socket.wait_acknowledged()
    kinds = [one.event["type"] for one in room.fake.socket.envelopes if one.event.get("ts") == question.ts]
    assert sorted(kinds) == ["app_mention", "message"]
    assert len(await room.exchanges()) == 1


async def test_events_that_come_again_are_answered_once(room: SlackRoom):
    room.fake.socket.doubles = ("*",)
    question = await room.asks(WORDS)
    await room.answer(question)
    for envelope in list(room.fake.socket.envelopes):
        room.fake.socket.redeliver(envelope)
    await room.ask_and_answer("and again")
    assert [exchange.question_id for exchange in await room.exchanges()].count(f"{room.channel.id}/{question.ts}") == 1
    assert len(await room.exchanges()) == 2


async def test_an_event_whose_acknowledgement_was_lost_is_answered_once(room: SlackRoom):
    await room.fake.socket.wait_acknowledged()
    room.fake.socket.lose_acknowledgements(2)
    question = await room.asks(WORDS)
    await room.answer(question)
    room.fake.pass_time(3)
    await room.fake.socket.wait_acknowledged()
    again = [one for one in room.fake.socket.envelopes if one.attempts == 2]
    assert [one.retry_reason for one in again] == ["timeout", "timeout"]
    assert len(await room.exchanges()) == 1


async def test_everything_is_acknowledged_whatever_the_worker_does(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    room.gate.close()
    await room.asks(WORDS)
    await (await room.ann.presses(answer, "🔄")).wait_acknowledged()
    await (await room.ann.uses("persona", "zen", in_=room.channel)).wait_acknowledged()
    await (await room.ann.uses_on(answer, "ask_about")).wait_acknowledged()
    await room.ann.opens_home()
    await room.fake.socket.wait_acknowledged()
    room.gate.open()


async def test_everything_is_acknowledged_while_the_store_is_held(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    async with room.service.store.write():
        await room.asks(WORDS)
        await room.ann.reacts(answer, "👍")
        await (await room.ann.presses(answer, "👍")).wait_acknowledged()
        await (await room.ann.uses("persona", "zen", in_=room.channel)).wait_acknowledged()
        await room.fake.socket.wait_acknowledged()


# calls


@pytest.mark.parametrize(
    ("trouble", "method"),
    [
        ("ratelimited", "chat.startStream"),
        ("ratelimited", "chat.appendStream"),
        ("ratelimited", "chat.stopStream"),
        ("503", "chat.startStream"),
        ("fatal_error", "chat.appendStream"),
        ("cut", "chat.stopStream"),
    ],
)
async def test_a_call_that_fails_for_a_moment_is_made_again(room: SlackRoom, trouble: str, method: str):
    faults = room.fake.faults
    fault = {
        "ratelimited": lambda: faults.rate_limit(method, retry_after_s=0),
        "503": lambda: faults.break_down(method),
        "fatal_error": lambda: faults.refuse(method, "fatal_error"),
        "cut": lambda: faults.cut(method),
    }[trouble]()
    question, half = await half_written(room)
    room.gate.let_through(1)
    await room.channel.wait_for(lambda _: "two" in half.content)
    room.gate.open()
    assert (await shown(room, question)).count(WORDS) == 1
    assert fault.hits == 1


async def test_a_status_that_slack_refuses_stops_no_answer(room: SlackRoom):
    room.fake.scopes -= {"assistant:write"}
    room.fake.faults.refuse("assistant.threads.setStatus", "missing_scope", times=100)
    assert WORDS in (await room.ask_and_answer(WORDS)).content


@pytest.mark.parametrize("error", ["channel_type_not_supported", "missing_recipient_user_id", "method_deprecated"])
async def test_where_slack_streams_nothing_plain_messages_do(room: SlackRoom, error: str):
    room.fake.faults.refuse("chat.startStream", error, times=100)
    question = await room.asks(WORDS)
    assert (await shown(room, question)).count(WORDS) == 1
    assert "Captain Codebeard" in (await room.answer(question)).content  # the change that brought buttons took the name


async def test_a_stream_that_ends_too_early_goes_on_as_an_updated_message(room: SlackRoom):
    question, half = await half_written(room)
    room.fake.pass_time(300)
    room.gate.open()
    text = await shown(room, question)
    assert text.count(WORDS) == 1
    assert "Captain Codebeard" in text  # the changed message has lost the persona's name
    assert not half.is_streaming


async def test_a_stream_that_somebody_stopped_at_slack_shows_the_end_all_the_same(room: SlackRoom):
    question, half = await half_written(room)
    await room.ann.stops(half)
    room.gate.open()
    assert (await shown(room, question)).count(WORDS) == 1


async def test_where_the_message_takes_no_change_either_the_reply_goes_on_below_it(room: SlackRoom):
    room.fake.faults.refuse("chat.update", "edit_window_closed", times=1)
    question, _ = await half_written(room)
    room.fake.pass_time(300)
    room.gate.open()
    text = await shown(room, question)
    assert all(word in text for word in WORDS.split())
    assert len([one for one in room.channel.thread(question) if one.author is room.fake.bot]) == 2


async def test_a_message_that_slack_finds_too_long_is_sent_in_parts(room: SlackRoom):
    room.fake.faults.refuse("chat.startStream", "channel_type_not_supported", times=100)
    room.fake.faults.refuse("chat.postMessage", "msg_too_long", times=1)
    long = " ".join(f"word{number}" for number in range(60))
    text = await shown(room, await room.asks(long))
    assert all(f"word{number}" in text for number in range(60))


# places and rights


async def test_a_channel_that_goes_in_mid_reply_ends_the_reply(room: SlackRoom):
    await half_written(room)
    room.channel.delete()
    room.gate.open()
    await room.until(lambda: has_ended(room))
    elsewhere = room.fake.add_channel("elsewhere")
    assert WORDS in (await room.ask_and_answer(WORDS, in_=elsewhere)).content


async def test_a_channel_that_expels_the_bot_in_mid_reply_ends_the_reply(room: SlackRoom):
    await half_written(room)
    room.channel.remove_bot()
    room.gate.open()
    await room.until(lambda: has_ended(room))
    elsewhere = room.fake.add_channel("elsewhere")
    assert WORDS in (await room.ask_and_answer(WORDS, in_=elsewhere)).content


async def has_ended(room: SlackRoom) -> bool:
    return all(JobStatus(exchange.status).is_final for exchange in await room.exchanges())


async def test_without_the_scope_for_names_the_persona_is_named_in_the_text(room: SlackRoom):
    room.fake.scopes.discard("chat:write.customize")
    first, second = await room.ask_and_answer(WORDS), await room.ask_and_answer(WORDS)
    assert first.name == second.name == "personas"
    assert ["Captain Codebeard" in one.everything for one in (first, second)] == [True, True], first.channel.describe()


async def test_a_token_that_is_revoked_in_mid_reply_ends_it_and_is_never_logged(
    room: SlackRoom, caplog: pytest.LogCaptureFixture
):
    await half_written(room)
    room.fake.revoke_token()
    room.gate.open()
    await room.until(lambda: has_ended(room))
    room.fake.api.revoked = None
    await room.ask_and_answer(WORDS)
    assert room.fake.bot_token not in caplog.text


async def test_an_uninstalled_bot_forgets_what_was_said(room: SlackRoom):
    await room.uses("settings", "keep_text:on", who=room.fake.add_person("mod", is_admin=True))
    await room.ann.presses(await room.uses("consent"), "Yes, keep my words")
    await room.until(lambda: agrees(room))
    await room.ask_and_answer("a secret")
    assert [exchange.prompt is not None for exchange in await room.exchanges()] == [True]
    room.fake.uninstall()
    await room.until(lambda: nothing_is_kept(room))


async def agrees(room: SlackRoom) -> bool:
    known = [one for one in room.channel.ephemeral if "May your words be kept" in one.content]
    return any("**yes**" in one.content for one in known)


async def nothing_is_kept(room: SlackRoom) -> bool:
    return all(exchange.prompt is None and exchange.reply is None for exchange in await room.exchanges())


# beginning


@pytest.mark.parametrize("which", ["slack_bot_token", "slack_app_token"])
async def test_a_wrong_token_ends_with_one_sentence_that_names_its_setting(tmp_path: Path, which: str):
    wrong = {"slack_bot_token": "xoxb-wrong", "slack_app_token": "xapp-wrong"}[which]
    async with FakeSlack() as fake, echo_service(tmp_path, fake, **{which: wrong}) as service:
        chat = SlackChat(service, service.settings)
        with pytest.raises(InvalidSetting, match=f"PERSONAS_{which.upper()}") as found:
            await chat.run()
        await chat.close()
    assert wrong not in str(found.value)


async def test_slack_that_is_down_at_the_start_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with FakeSlack() as fake:
        fake.add_channel("general")
        fake.faults.break_down("auth.test", times=1)
        async with echo_service(tmp_path, fake) as service, connected(fake, service) as chat:
            await asyncio.wait_for(chat.is_ready.wait(), 60)
    assert "Slack cannot be reached" in caplog.text


async def test_no_token_is_ever_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        async with slack_room(tmp_path) as room:
            await room.ask_and_answer("hello")
            tokens = (room.fake.bot_token, room.fake.app_token)
    assert not [token for token in tokens if token in caplog.text]
