"""Questions and answers on Discord, from the mention to the last edit."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.chat.access import Access, AccessLimits
from bot.discord_chat.names import message_key
from bot.service.service import NOT_LOADED
from core.engine.echo_engine import EchoEngine
from core.store import consent, places
from tests.discord.rooms import LONG, DiscordRoom, discord_room

HEADER = "**🏴 Captain Codebeard**\n"


async def test_a_mention_is_answered_by_the_default_persona_as_a_reply(room: DiscordRoom):
    question = await room.asks("good morning")
    answer = await room.answer(question)
    assert answer.content == HEADER + "[codebeard@1] good morning"
    assert answer.reply_to is question


async def test_the_typing_indicator_comes_before_the_answer(room: DiscordRoom):
    room.gate.close()
    await room.asks("good morning")
    await room.channel.wait_for_typing()
    await room.gate.wait_until_held()
    room.gate.open()
    await room.channel.wait_for(lambda messages: "morning" in messages[-1].content)


async def test_a_reply_streams_into_one_message_by_edits(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    room.gate.open()
    answer = await room.answer(question)
    assert answer.content == HEADER + "[codebeard@1] one two three"
    assert len(room.channel.from_bot) == 1


async def test_who_waits_sees_the_place_in_line(tmp_path: Path):
    async with discord_room(tmp_path, engine=EchoEngine(slots=1), slots=1) as room:
        room.gate.close()
        await room.asks("first")
        await room.gate.wait_until_held()
        ben = room.fake.add_person("ben")
        await room.asks("second", who=ben)
        await room.asks("third", who=ben)
        await room.channel.wait_for(lambda messages: any("2nd in line" in message.content for message in messages))
        room.gate.open()
        await room.channel.wait_for(lambda _: any("third" in message.content for message in room.channel.from_bot))


async def test_an_answer_beyond_2000_characters_goes_on_in_a_further_message(wordy_room: DiscordRoom):
    room = wordy_room
    pages = await room.pages(await room.ended(await room.asks(LONG)))
    assert len(pages) == 2
    assert all(len(page.content) <= 2000 for page in pages)
    said = " ".join(page.content for page in pages).removeprefix(HEADER)
    assert said.split() == ["[codebeard@1]", *LONG.split()]
    assert not pages[0].buttons
    assert pages[1].buttons


async def test_links_in_an_answer_are_not_unfolded(room: DiscordRoom):
    answer = await room.ask_and_answer("see https://example.org")
    assert answer.flags & 1 << 2


async def test_an_event_that_comes_twice_is_answered_once(room: DiscordRoom):
    room.fake.gateway.duplicate("MESSAGE_CREATE")
    await room.ask_and_answer("good morning")
    await room.ask_and_answer("good evening")
    assert len(await room.exchanges()) == 2
    assert len(room.channel.from_bot) == 2


async def test_a_message_that_mentions_nobody_is_left_alone(room: DiscordRoom):
    await room.ann.says(room.channel, "good morning everybody")
    await room.ask_and_answer("and you")
    assert len(await room.exchanges()) == 1


async def test_a_mention_without_words_is_greeted(room: DiscordRoom):
    await room.asks("")
    await room.channel.wait_for(lambda messages: messages[-1].content == "Hello from Captain Codebeard.")
    assert await room.exchanges() == []


async def test_a_mention_without_words_that_comes_twice_is_greeted_once(room: DiscordRoom):
    room.fake.gateway.duplicate("MESSAGE_CREATE")
    await room.asks("")
    answer = await room.ask_and_answer("and now words")
    assert [message.content for message in room.channel.from_bot] == ["Hello from Captain Codebeard.", answer.content]


async def test_a_direct_message_needs_no_mention(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    question = await room.ann.says(dm, "are you there")
    answer = await room.answer(question)
    assert answer.content.endswith("[codebeard@1] are you there")
    [exchange] = await room.exchanges()
    assert exchange.conversation_id == f"discord:dm:{dm.id}"


async def test_who_asks_too_fast_is_told_so_once(tmp_path: Path):
    async with discord_room(tmp_path, limits=AccessLimits(per_user_per_minute=1)) as room:
        await room.ask_and_answer("one")
        await room.asks("two")
        await room.channel.wait_for(lambda messages: "faster than I can answer" in messages[-1].content)
        await room.asks("three")
        ben = room.fake.add_person("ben")
        await room.ask_and_answer("four", who=ben)
        assert sum("faster" in message.content for message in room.channel.from_bot) == 1
        assert len(await room.exchanges()) == 2


async def test_other_bots_are_not_answered(room: DiscordRoom):
    robot = room.fake.add_person("robot", bot=True)
    await room.asks("hello fellow machine", who=robot)
    await room.ask_and_answer("hello")
    assert len(await room.exchanges()) == 1
    assert len(room.channel.from_bot) == 1


async def test_bots_that_may_talk_stop_after_some_turns(tmp_path: Path):
    async with discord_room(tmp_path) as found:
        robot = found.fake.add_person("robot", bot=True)
        limits = AccessLimits(
            per_user_per_minute=None, allowed_bots=frozenset({f"discord:{robot.id}"}), max_bot_turns=2
        )
        found.chat.parts.chat.replies._access = Access(limits)
        for turn in range(4):
            await found.asks(f"turn {turn}", who=robot)
        await found.ask_and_answer("enough")
        assert len(await found.exchanges(user_id=f"discord:{robot.id}")) == 2


async def test_an_engine_error_ends_as_its_sentence(tmp_path: Path):
    async with discord_room(tmp_path, engine=EchoEngine(fails_on="boom")) as room:
        answer = await room.ask_and_answer("say boom now")
        assert 'The echo engine cannot say "boom"' in answer.content


async def test_what_is_asked_while_the_model_loads_waits_and_is_answered(tmp_path: Path):
    async with discord_room(tmp_path, is_started=False) as room:
        question = await room.asks("good morning")
        await room.channel.wait_for(lambda messages: messages[-1].content.endswith("…"))
        await room.service.start()
        assert (await room.answer(question)).content.endswith("[codebeard@1] good morning")


async def test_a_model_that_could_not_be_loaded_is_said_so(room: DiscordRoom):
    room.service._refusal = NOT_LOADED
    await room.asks("good morning")
    await room.channel.wait_for(lambda messages: "could not be loaded" in messages[-1].content)
    assert await room.exchanges() == []


async def test_a_stopped_reply_says_so(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    [exchange] = await room.exchanges()
    assert await room.chat.parts.chat.replies.stop(exchange.id)
    answer = await room.answer(question)
    assert answer.content == HEADER + "[codebeard@1] one\n(stopped)"
    assert not await room.chat.parts.chat.replies.stop(exchange.id)


async def test_text_stays_out_of_the_ledger_unless_the_person_and_the_server_agree(room: DiscordRoom):
    await room.ask_and_answer("nobody agreed")
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
    await room.ask_and_answer("the server did not")
    async with room.service.store.write() as session:
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
    question = await room.asks("both agreed")
    await room.answer(question)
    first, second, third = await room.exchanges()
    assert (first.prompt, second.prompt) == (None, None)
    assert third.prompt == [{"role": "user", "content": "both agreed"}]
    assert third.reply == "[codebeard@1] both agreed"


async def test_in_a_direct_message_the_persons_own_word_is_enough(room: DiscordRoom):
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "keep this"))
    [exchange] = await room.exchanges()
    assert exchange.prompt is not None


async def test_the_ledger_knows_question_places_and_pages(room: DiscordRoom):
    question = await room.asks("good morning")
    answer = await room.answer(question)
    [exchange] = await room.exchanges()
    assert exchange.event_id == f"message:{question.channel.id}/{question.id}"
    assert exchange.question_id == message_key(room.channel.id, question.id)
    assert exchange.conversation_id == f"discord:chain:{question.id}"
    assert await room.pages(exchange) == [answer]


async def test_the_narrowest_place_that_chose_a_persona_decides_who_answers(room: DiscordRoom):
    async with room.service.store.write() as session:
        await places.set_model(session, f"discord:guild:{room.channel.guild.id}", source="discord", model="zen")
    answer = await room.ask_and_answer("who are you")
    assert answer.content == "**🧘 Master Zen**\n[zen@1] who are you"
    async with room.service.store.write() as session:
        await places.set_model(session, f"discord:channel:{room.channel.id}", source="discord", model="codebeard:0.5")
    answer = await room.ask_and_answer("and now")
    assert answer.content == "**🏴 Captain Codebeard at 50 %**\n[codebeard@1:0.5] and now"


async def test_channels_are_answered_side_by_side(room: DiscordRoom):
    channels = [room.channel.guild.add_channel(f"room-{number}") for number in range(6)]
    questions = [await room.ann.says(channel, f"hello {channel.name}", mentions_bot=True) for channel in channels]
    answers = await asyncio.gather(*(room.answer(question) for question in questions))
    assert [answer.channel for answer in answers] == channels
    assert [answer.content.removeprefix(HEADER) for answer in answers] == [
        f"[codebeard@1] hello {channel.name}" for channel in channels
    ]
