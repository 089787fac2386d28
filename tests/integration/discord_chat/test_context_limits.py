"""How much of what was said a reply knows, and what is said when it is less than all of it."""

from __future__ import annotations

import pytest

from bot.chat import calls, conversation, conversations
from bot.chat.reply_pages import DROPPED_NOTE
from bot.discord_chat import history
from bot.discord_chat.history import RESET_LINE
from tests.discord.rooms import DiscordRoom, connected, listen


async def test_a_history_that_is_too_long_is_said_to_be_cut(open_room: DiscordRoom, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "MAX_TURNS", 4)
    monkeypatch.setattr(conversations, "MAX_TURNS", 4)
    heard = listen(open_room)
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    for text in ("one", "two", "three"):
        await open_room.ann.says(thread, text)

    async def has_come() -> bool:
        return any(message.content == "three" for message in open_room.chat.bot.cached_messages)

    await open_room.until(has_come)  # before the mention, which brings the bot into the thread
    whole = await open_room.answer(await open_room.ann.says(thread, "four", mentions_bot=True))
    assert heard[-1] == [("user", "one\ntwo\nthree\nfour")]
    assert DROPPED_NOTE not in whole.content
    cut = await open_room.answer(await open_room.ann.says(thread, "five", mentions_bot=True))
    answered = ("assistant", "[codebeard@1] one\ntwo\nthree\nfour")
    assert heard[-1] == [("user", "three\nfour"), answered, ("user", "five")]
    assert cut.content.endswith(f"\n-# {DROPPED_NOTE}")


async def test_what_stands_above_a_fresh_start_is_not_said_to_be_left_out(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history, "MAX_TURNS", 1)
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "my name is ann"))
    await room.chat.bot.get_partial_messageable(dm.id).send(RESET_LINE)
    answer = await room.answer(await room.ann.says(dm, "who am i"))
    assert DROPPED_NOTE not in answer.content


async def test_a_chain_that_is_too_long_is_said_to_be_cut(open_room: DiscordRoom, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "MAX_TURNS", 3)
    heard = listen(open_room)
    said = None
    for text in ("one", "two"):
        said = await open_room.ann.says(open_room.channel, text, reply_to=said)
    whole = await open_room.ask_and_answer("three", reply_to=said)
    assert heard[-1] == [("user", "one\ntwo\nthree")]
    assert DROPPED_NOTE not in whole.content
    said = await open_room.ann.says(open_room.channel, "and two", reply_to=said)
    cut = await open_room.ask_and_answer("and three", reply_to=said)
    assert heard[-1] == [("user", "two\nand two\nand three")]
    assert cut.content.endswith(f"\n-# {DROPPED_NOTE}")
    later = await open_room.answer(await open_room.ann.says(open_room.channel, "go on", reply_to=cut))
    assert later.content.endswith(f"\n-# {DROPPED_NOTE}")


async def test_a_remembered_conversation_that_is_too_long_is_said_to_be_cut(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(conversation, "MAX_TURNS", 3)
    heard = listen(room)
    answer = await room.ask_and_answer("one")
    for text, is_cut in (("two", False), ("three", True)):
        answer = await room.answer(await room.ann.says(room.channel, text, reply_to=answer))
        assert answer.content.endswith(f"\n-# {DROPPED_NOTE}") == is_cut
    assert heard[-1] == [("user", "two"), ("assistant", "[codebeard@1] two"), ("user", "three")]


async def test_a_chain_is_read_although_discord_was_out_of_reach_for_a_moment(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0, 0.0))
    first = await room.ask_and_answer("what is a mutex")
    await room.chat.close()
    async with connected(room.fake, room.service) as room.chat:
        heard = listen(room)
        room.fake.faults.cut("GET", "/channels/*/messages/*", times=2)  # aiohttp itself asks a second time
        room.fake.faults.refuse("GET", "/channels/*/messages/*", 503)
        await room.answer(await room.ann.says(room.channel, "and a semaphore", reply_to=first))
    assert heard[-1][0] == ("user", "what is a mutex")


async def test_without_the_right_to_read_what_was_said_the_question_stands_alone(room: DiscordRoom):
    first = await room.ask_and_answer("what is a mutex")
    room.channel.forbid_bot("read_message_history")
    await room.chat.close()
    async with connected(room.fake, room.service) as room.chat:
        heard = listen(room)
        await room.answer(await room.ann.says(room.channel, "and a semaphore", reply_to=first))
    assert heard == [[("user", "and a semaphore")]]


@pytest.mark.parametrize("mentions_bot", [True, False])
async def test_where_what_was_said_cannot_be_read_at_the_moment_the_person_is_told(
    open_room: DiscordRoom, monkeypatch: pytest.MonkeyPatch, mentions_bot: bool
):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", ())
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    await open_room.answer(await open_room.ann.says(thread, "hello", mentions_bot=True))
    faults = open_room.fake.faults
    for fault in (faults.cut, lambda *where, times: faults.refuse(*where, 503, times)):
        fault("GET", "/channels/*/messages", times=99)
        await open_room.ann.says(thread, "where were we", mentions_bot=mentions_bot)
        await thread.wait_for(lambda messages: messages[-1].content == "Discord does not answer; try again later.")
        faults.clear()
    assert len(await open_room.exchanges()) == 1
