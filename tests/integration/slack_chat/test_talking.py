"""Mentions, direct messages and threads: who is answered, where, and how the answer grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.rooms import SlackRoom, listen, process_in

LONG = " ".join(
    f"{'word' * 12}{number}" for number in range(80)
)  # its echo is longer than a message, but no more than the echo reads


async def test_a_mention_is_answered_in_its_thread_by_the_persona(room: SlackRoom):
    question = await room.asks("hello")
    answer = await room.answer(question)
    assert answer.content == "[codebeard@1] hello"
    assert answer.thread_ts == question.ts
    assert answer.name == "Captain Codebeard"
    assert answer.icons == {"emoji": ":waving_black_flag:"}


async def test_a_mention_that_comes_as_two_events_is_answered_once(room: SlackRoom):
    question = await room.asks("hello")
    await room.answer(question)
    assert len(await room.exchanges()) == 1
    assert len(room.channel.from_bot) == 1


async def test_an_answer_is_streamed_from_its_first_word_on(room: SlackRoom):
    room.gate.close()
    question = await room.asks("one two three")
    await room.fake.wait_for(lambda: room.channel.status_of(question))
    assert room.channel.status_of(question) == "is thinking…"
    assert room.channel.statuses[0]["username"] == "Captain Codebeard"
    assert not room.channel.from_bot
    room.gate.let_through(2)
    streamed = await room.channel.wait_for(lambda _: next(iter(room.channel.from_bot), None))
    assert streamed.is_streaming
    room.gate.open()
    answer = await room.answer(question)
    await room.fake.wait_for(lambda: answer.buttons)
    assert answer is streamed and not answer.is_streaming
    assert answer.content == "[codebeard@1] one two three"
    assert not room.fake.calls_of("chat.update")


async def test_a_thread_needs_no_second_mention_and_is_the_context(room: SlackRoom):
    question = await room.asks("hello")
    await room.answer(question)
    heard = listen(room)
    further = await room.ann.says(question, "and now?")
    await room.answer(further)
    assert heard == [[("user", "hello"), ("assistant", "[codebeard@1] hello"), ("user", "and now?")]]


async def test_a_message_that_mentions_somebody_else_is_left_alone(room: SlackRoom):
    bob = room.fake.add_person("bob")
    question = await room.asks("hello")
    await room.answer(question)
    await room.ann.says(question, f"{bob.mention} what do you think?")
    await room.answer(await room.ann.says(question, "go on"))
    assert len(await room.exchanges()) == 2


async def test_a_thread_that_the_bot_is_not_in_is_left_alone(room: SlackRoom):
    started = await room.ann.says(room.channel, "shall we?")
    await room.ann.says(started, "yes")
    await room.ask_and_answer("hello")
    assert len(await room.exchanges()) == 1


async def test_a_thread_goes_on_after_a_restart_without_a_mention(tmp_path: Path):
    async with FakeSlack() as fake:
        channel, ann = fake.add_channel("general"), fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            question = await room.asks("hello")
            await room.answer(question)
        async with process_in(tmp_path, fake, channel, ann) as room:
            heard = listen(room)
            await room.answer(await room.ann.says(question, "again"))
    assert heard == [[("user", "hello"), ("assistant", "[codebeard@1] hello"), ("user", "again")]]


async def test_a_direct_message_is_answered_without_a_mention(room: SlackRoom):
    chat = await room.ann.opens_dm()
    question = await room.ann.says(chat, "hello")
    answer = await room.answer(question)
    assert answer.content == "[codebeard@1] hello"
    assert answer.channel is chat


async def test_several_people_in_a_thread_are_told_apart(room: SlackRoom):
    bob, namesake = room.fake.add_person("bob"), room.fake.add_person("bob")
    question = await room.asks("hello")
    await room.answer(question)
    heard = listen(room)
    await room.answer(await bob.says(question, "me too"))
    assert heard[0][0] == ("user", "ann: hello")
    assert heard[0][-1] == ("user", "bob: me too")
    await room.answer(await namesake.says(question, "and me"))
    assert heard[1][-1] == ("user", "bob (2): and me")


async def test_a_long_answer_goes_on_in_the_thread(room: SlackRoom):
    question = await room.asks(LONG)
    exchange = await room.ended(question)
    pages = await room.pages(exchange)
    assert len(pages) > 1
    assert all(page.thread_ts == question.ts for page in pages)
    said = " ".join(page.content for page in pages).replace("🏴‍☠️ Captain Codebeard", "").split()
    assert said == f"[codebeard@1] {LONG}".split()
    await room.fake.wait_for(lambda: pages[-1].buttons)
    assert not pages[0].buttons


async def test_a_name_and_nothing_else_is_greeted(room: SlackRoom):
    await room.asks("")
    greeting = await room.channel.wait_for(lambda _: next(iter(room.channel.from_bot), None))
    assert greeting.name == "Captain Codebeard"
    assert not await room.exchanges()


@pytest.mark.parametrize("call", ["<!channel>", "<!here>", "<!subteam^S1|crew>", "<\\!channel>", "&lt;!channel>"])
async def test_nothing_in_an_answer_calls_anybody(room: SlackRoom, call: str):
    answer = await room.ask_and_answer(f"say {call} now")
    assert answer.pings == []


async def test_files_are_named_where_they_cannot_be_read(room: SlackRoom):
    question = await room.ann.says(room.channel, "look", mentions_bot=True, files={"a.png": b"x"})
    answer = await room.answer(question)
    await room.fake.wait_for(lambda: answer.buttons)
    assert "I read text only" in answer.content


async def test_a_shared_message_is_named(room: SlackRoom):
    shared = await room.ann.says(room.channel, "the plan")
    question = await room.ann.shares(shared, room.channel, "what of this?", mentions_bot=True)
    answer = await room.answer(question)
    await room.fake.wait_for(lambda: answer.buttons)
    assert "shared or forwarded" in answer.content
