"""What becomes of answers when questions are edited or deleted, and of text when places are left."""

from __future__ import annotations

from core.store import consent, places
from tests.discord.rooms import DiscordRoom, connected

HEADER = "**🏴 Captain Codebeard**\n"


async def agree(room: DiscordRoom) -> None:
    """Let text be kept: ann agrees, and so does her server."""
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)


async def test_an_edited_question_is_answered_again_in_the_same_message(room: DiscordRoom):
    question = await room.asks("what is a mutx")
    answer = await room.answer(question)
    await room.ann.edits(question, f"{room.fake.bot.mention} what is a mutex")
    await room.ended(question, count=2)
    assert answer.content == HEADER + "[codebeard@1] what is a mutex"
    assert room.channel.from_bot == [answer]
    again = (await room.exchanges())[-1]
    assert await room.pages(again) == [answer]


async def test_an_edit_in_mid_reply_stops_it_and_answers_the_new_question(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    await room.ann.edits(question, f"{room.fake.bot.mention} four five")
    await room.fake.wait_for(lambda: room.channel.from_bot[0].content.endswith("(stopped)"))
    room.gate.open()
    await room.ended(question, count=2)
    assert [message.content for message in room.channel.from_bot] == [HEADER + "[codebeard@1] four five"]
    assert [exchange.status for exchange in await room.exchanges()] == ["cancelled", "succeeded"]


async def test_a_link_that_discord_unfolds_is_no_edit(room: DiscordRoom):
    question = await room.asks("look at https://example.org")
    await room.answer(question)
    room.fake.unfurl(question)
    await room.ask_and_answer("anything else")
    assert len(await room.exchanges()) == 2


async def test_an_edit_after_an_hour_changes_nothing(room: DiscordRoom):
    question = await room.asks("what is a mutx")
    await room.answer(question)
    room.fake.pass_time(3700)
    await room.ann.edits(question, f"{room.fake.bot.mention} what is a mutex")
    await room.ask_and_answer("anything else")
    assert len(await room.exchanges()) == 2


async def test_a_deleted_question_takes_its_answer_and_their_text_with_it(room: DiscordRoom):
    await agree(room)
    question = await room.asks("my secret")
    answer = await room.answer(question)
    await room.ann.deletes(question)
    await room.fake.wait_for(lambda: answer.deleted)
    [exchange] = await room.exchanges()
    assert (exchange.prompt, exchange.reply, exchange.status) == (None, None, "succeeded")
    assert await room.pages(exchange) == []


async def test_a_question_deleted_in_mid_reply_stops_it(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    answer = room.channel.from_bot[0]
    await room.ann.deletes(question)
    await room.fake.wait_for(lambda: answer.deleted)
    [exchange] = await room.exchanges()
    assert exchange.status == "cancelled"


async def test_questions_deleted_together_are_all_honoured(room: DiscordRoom):
    questions = [await room.asks("one"), await room.asks("two")]
    answers = [await room.answer(question) for question in questions]
    moderator = room.fake.add_person("mod")
    room.channel.guild.grant(moderator, "manage_messages")
    await moderator.deletes(*questions)
    await room.fake.wait_for(lambda: all(answer.deleted for answer in answers))


async def test_words_are_forgotten_wherever_a_deleted_message_is_quoted(room: DiscordRoom):
    await agree(room)
    question = await room.asks("my secret")
    first = await room.answer(question)
    second = await room.answer(await room.ann.says(room.channel, "go on", reply_to=first))
    await room.ann.deletes(question)
    await room.fake.wait_for(lambda: first.deleted)
    assert [exchange.prompt for exchange in await room.exchanges()] == [None, None]
    assert not second.deleted
    assert not room.chat.parts.chat.memory


async def test_an_answer_that_a_moderator_deletes_is_forgotten(room: DiscordRoom):
    await agree(room)
    answer = await room.ask_and_answer("something rude")
    moderator = room.fake.add_person("mod")
    room.channel.guild.grant(moderator, "manage_messages")
    await moderator.deletes(answer)
    await room.ask_and_answer("next")
    exchange = (await room.exchanges())[0]
    assert (exchange.prompt, exchange.reply) == (None, None)
    assert await room.pages(exchange) == []


async def test_an_answer_deleted_while_it_is_written_ends_its_job(room: DiscordRoom):
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    moderator = room.fake.add_person("mod")
    room.channel.guild.grant(moderator, "manage_messages")
    await moderator.deletes(room.channel.from_bot[0])
    exchange = await room.ended(question)
    assert exchange.status == "cancelled"
    assert room.channel.from_bot == []


async def test_a_server_that_removes_the_bot_is_forgotten(room: DiscordRoom):
    await agree(room)
    await room.ask_and_answer("my secret")
    guild = room.channel.guild
    guild.remove_bot()
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "are you still there"))
    first, _second = await room.exchanges()
    assert (first.prompt, first.reply) == (None, None)
    async with room.service.store.write() as session:
        assert not (await places.settings_of(session, f"discord:guild:{guild.id}")).is_text_kept


async def test_a_server_that_removed_the_bot_while_it_was_away_is_forgotten_too(room: DiscordRoom):
    await agree(room)
    await room.ask_and_answer("my secret")
    await room.chat.close()
    room.channel.guild.remove_bot()
    async with connected(room.fake, room.service) as room.chat:
        await room.chat.is_ready.wait()
        dm = await room.ann.opens_dm()
        await room.answer(await room.ann.says(dm, "are you still there"))
    first, _second = await room.exchanges()
    assert (first.prompt, first.reply) == (None, None)


async def test_a_deleted_channel_ends_what_is_written_there_and_is_forgotten(room: DiscordRoom):
    other = room.channel.guild.add_channel("other")
    room.gate.close()
    await room.ann.says(other, "one two three", mentions_bot=True)
    room.gate.let_through(2)
    await other.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one")
    [exchange] = await room.exchanges()
    other.delete()
    await room.chat.parts.chat.replies.ended(exchange.id)
    [exchange] = await room.exchanges()
    assert exchange.status == "cancelled"
    room.gate.open()
    assert (await room.ask_and_answer("still alive")).content.endswith("still alive")
