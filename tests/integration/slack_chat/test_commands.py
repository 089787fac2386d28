"""Commands: who answers where, what is kept, and the App Home."""

from __future__ import annotations

import json

from tests.slack.rooms import SlackRoom, listen


async def test_a_persona_is_bound_to_a_channel_and_greets(room: SlackRoom):
    await (await room.ann.uses("persona", "zen", in_=room.channel)).wait_acknowledged()
    greeting = await room.channel.wait_for(lambda _: next(iter(room.channel.from_bot), None))
    assert "**🧘 Master Zen** answers in this channel from now on." in greeting.content
    assert greeting.name == "Master Zen"
    answer = await room.ask_and_answer("hello")
    assert answer.content == "[zen@1] hello" and answer.name == "Master Zen"


async def test_a_threads_choice_goes_before_its_channels(room: SlackRoom):
    question = await room.asks("hello")
    await room.answer(question)
    await room.types("!persona zen", question)
    assert (await room.answer(await room.ann.says(question, "and now?"))).content == "[zen@1] and now?"
    assert (await room.ask_and_answer("elsewhere")).content == "[codebeard@1] elsewhere"


async def test_strength_and_blend_are_taken(room: SlackRoom):
    question = await room.asks("hello")
    await room.answer(question)
    said = await room.types("!persona zen 50%", question)
    assert "Master Zen at 50 %" in said.content
    said = await room.types("!persona codebeard:0.7+zen:0.3", question)
    assert "70 %" in said.content
    await room.answer(await room.ann.says(question, "both?"))
    assert (await room.exchanges())[-1].model == "codebeard:0.7+zen:0.3"


async def test_only_who_manages_the_workspace_chooses_for_all_of_it(room: SlackRoom):
    assert "Only who manages" in (await room.uses("persona", "zen workspace")).content
    admin = room.fake.add_person("boss", is_admin=True)
    await (await admin.uses("persona", "zen workspace", in_=room.channel)).wait_acknowledged()
    await room.channel.wait_for(lambda _: room.channel.from_bot)
    assert (await room.ask_and_answer("hello")).content == "[zen@1] hello"


async def test_who_answers_here_is_told_with_the_reason(room: SlackRoom):
    said = await room.uses("persona")
    assert "Captain Codebeard** answers here: the bot's default." in said.content
    assert said.only_for is room.ann


async def test_an_unknown_persona_is_named_with_those_there_are(room: SlackRoom):
    said = await room.uses("persona", "nobody")
    assert "codebeard" in said.content and said.only_for is room.ann


async def test_what_only_looks_like_a_command_is_a_question(room: SlackRoom):
    question = await room.asks("hello")
    await room.answer(question)
    heard = listen(room)
    await room.answer(await room.ann.says(question, "what does !persona zen do?"))
    assert heard[0][-1] == ("user", "what does !persona zen do?")
    assert (await room.exchanges())[-1].model == "codebeard"


async def test_the_gallery_shows_everybody_with_their_adapter(room: SlackRoom):
    said = await room.uses("personas")
    assert "Captain Codebeard" in said.content and "Master Zen" in said.content
    assert "adapter codebeard@1" in said.content
    await room.ann.opens_home()
    home = await room.fake.wait_for(lambda: room.ann.home)
    assert "Captain Codebeard" in home.content and "adapter zen@1" in home.content


async def test_the_chat_with_the_bot_offers_personas_to_begin_with(room: SlackRoom):
    await room.ann.opens_home("messages")
    chat = await room.ann.opens_dm()
    [offered] = await room.fake.wait_for(lambda: chat.prompts)
    assert {"title": "🧘 Master Zen", "message": "!persona zen"} in offered["prompts"]
    said = await room.ann.says(chat, "!persona zen")
    await chat.wait_for(lambda _: chat.from_bot)
    assert (await room.answer(await room.ann.says(said, "hello"))).content == "[zen@1] hello"


async def test_privacy_is_told_to_one_person_alone(room: SlackRoom):
    said = await room.uses("privacy")
    assert said.only_for is room.ann
    assert "your Slack id" in said.content and "workspace" in said.content


async def test_mydata_comes_as_a_file_in_direct_messages(room: SlackRoom):
    await room.ask_and_answer("hello")
    await room.uses("mydata")
    chat = await room.ann.opens_dm()
    [sent] = [one for one in chat.from_bot if one.files]
    found = json.loads(room.fake.world.files[sent.files[0]["id"]])
    assert found["user_id"] == f"slack:{room.ann.id}"
    assert len(found["exchanges"]) == 1 and found["exchanges"][0]["prompt"] is None


async def test_forget_asks_first_and_then_erases(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    await room.ann.reacts(answer, "👍")
    await room.marks_are(ann=True)
    warning = await room.uses("forget")
    assert "cannot be undone" in warning.content
    assert [one.user_id for one in await room.exchanges()] == [f"slack:{room.ann.id}"]
    await room.presses(warning, "Erase everything")
    await room.fake.wait_for(lambda: "You are forgotten: 1 question, 1 thumb" in warning.content)
    assert [one.user_id for one in await room.exchanges()] == [""]
    assert await room.thumbs() == []


async def test_text_is_kept_only_with_consent_and_the_workspaces_leave(room: SlackRoom):
    await room.ask_and_answer("one")
    card = await room.uses("consent")
    await room.presses(card, "Yes, keep my words")
    await room.fake.wait_for(lambda: "You have said **yes**" in card.content)
    await room.ask_and_answer("two")
    admin = room.fake.add_person("boss", is_admin=True)
    await room.uses("settings", "keep_text:on", who=admin)
    await room.ask_and_answer("three")
    assert [one.prompt is not None for one in await room.exchanges()] == [False, False, True]


async def test_settings_are_for_who_manages_the_workspace(room: SlackRoom):
    assert "Only who manages" in (await room.uses("settings", "free_talk:on")).content
    assert "free talk **off**" in (await room.uses("settings")).content


async def test_a_free_talk_channel_needs_no_mention(room: SlackRoom):
    admin = room.fake.add_person("boss", is_admin=True)
    await room.uses("settings", "free_talk:on", who=admin)
    assert (await room.answer(await room.ann.says(room.channel, "hello"))).content == "[codebeard@1] hello"


async def test_a_persona_is_asked_about_a_message(room: SlackRoom):
    bob = room.fake.add_person("bob")
    heard = listen(room)
    message = await bob.says(room.channel, "the build is red")
    form = await (await room.ann.uses_on(message, "ask_about")).wait_modal()
    await room.ann.submits(form, question="why?", persona="zen")
    answer = await room.channel.wait_for(lambda _: next((one for one in room.channel.from_bot if one.buttons), None))
    assert heard == [[("user", "bob wrote:\n\nthe build is red\n\nwhy?")]]
    assert answer.thread_ts == message.ts and answer.name == "Master Zen"
