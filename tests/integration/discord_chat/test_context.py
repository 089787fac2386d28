"""What a reply knows of what was said before: chains, threads, DMs and free-talk channels."""

from __future__ import annotations

from bot.discord_chat.history import RESET_LINE
from core.store import consent, places
from tests.discord.commands import registered, use
from tests.discord.rooms import LONG, DiscordRoom, connected, listen


async def test_a_reply_chain_is_the_context(room: DiscordRoom):
    heard = listen(room)
    first = await room.ask_and_answer("what is a mutex")
    second = await room.answer(await room.ann.says(room.channel, "and a semaphore", reply_to=first))
    await room.answer(await room.ann.says(room.channel, "thanks", reply_to=second))
    assert heard[-1] == [
        ("user", "what is a mutex"),
        ("assistant", "[codebeard@1] what is a mutex"),
        ("user", "and a semaphore"),
        ("assistant", "[codebeard@1] and a semaphore"),
        ("user", "thanks"),
    ]
    assert len({exchange.conversation_id for exchange in await room.exchanges()}) == 1


async def test_a_chain_branches_where_an_older_answer_is_replied_to(room: DiscordRoom):
    heard = listen(room)
    first = await room.ask_and_answer("root")
    await room.answer(await room.ann.says(room.channel, "left", reply_to=first))
    await room.answer(await room.ann.says(room.channel, "right", reply_to=first))
    assert heard[-1] == [("user", "root"), ("assistant", "[codebeard@1] root"), ("user", "right")]


async def test_a_chain_is_read_again_after_a_restart(room: DiscordRoom):
    first = await room.ask_and_answer("what is a mutex")
    await room.chat.close()
    async with connected(room.fake, room.service) as room.chat:
        heard = listen(room)
        question = await room.ann.says(room.channel, "and a semaphore", reply_to=first)
        await room.answer(question)
    assert heard == [
        [
            ("user", "what is a mutex"),
            ("assistant", "[codebeard@1] what is a mutex"),
            ("user", "and a semaphore"),
        ]
    ]


async def test_an_answer_of_two_pages_is_one_turn_whichever_page_is_replied_to(wordy_room: DiscordRoom):
    room = wordy_room
    pages = await room.pages(await room.ended(await room.asks(LONG)))
    room.chat.parts.chat.memory.forget(f"discord:{room.ann.id}")  # so that the pages are read
    heard = listen(room)
    await room.answer(await room.ann.says(room.channel, "and then", reply_to=pages[-1]))
    assert [role for role, _ in heard[-1]] == ["user", "assistant", "user"]
    assert heard[-1][1][1].split() == ["[codebeard@1]", *LONG.split()]


async def test_the_message_that_is_replied_to_is_context_though_it_never_mentioned_the_bot(open_room: DiscordRoom):
    heard = listen(open_room)
    ben = open_room.fake.add_person("ben")
    remark = await ben.says(open_room.channel, "tabs are better than spaces")
    await open_room.answer(await open_room.asks("is that so", reply_to=remark))
    assert heard == [[("user", "Ben: tabs are better than spaces\nAnn: is that so")]]


async def test_without_the_intent_only_what_discord_shows_is_context(room: DiscordRoom):
    heard = listen(room)
    ben = room.fake.add_person("ben")
    remark = await ben.says(room.channel, "tabs are better than spaces")
    await room.answer(await room.asks("is that so", reply_to=remark))
    assert heard == [[("user", "is that so")]]


async def test_a_thread_needs_no_new_mention_and_is_the_context(open_room: DiscordRoom):
    heard = listen(open_room)
    answer = await open_room.ask_and_answer("tell me a tale")
    thread = await open_room.ann.starts_thread(answer, "tales")
    first = await open_room.ann.says(thread, "go on", mentions_bot=True)
    await open_room.answer(first)
    ben = open_room.fake.add_person("ben")
    await open_room.answer(await ben.says(thread, "and the parrot"))
    assert heard[-1][-1] == ("user", "Ben: and the parrot")
    assert ("user", "Ann: go on") in heard[-1]
    exchanges = await open_room.exchanges(conversation_id=f"discord:thread:{thread.id}")
    assert len(exchanges) == 2


async def test_in_a_thread_people_may_talk_to_each_other(open_room: DiscordRoom):
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    await open_room.answer(await open_room.ann.says(thread, "hello", mentions_bot=True))
    ben = open_room.fake.add_person("ben")
    remark = await ben.says(thread, f"{open_room.ann.mention} lunch")
    await open_room.ann.says(thread, "yes", reply_to=remark)
    await open_room.answer(await open_room.ann.says(thread, "where were we"))
    assert len(await open_room.exchanges()) == 2


async def test_without_the_intent_a_thread_needs_a_mention(room: DiscordRoom):
    thread = await room.ann.starts_thread(room.channel, "tales")
    await room.answer(await room.ann.says(thread, "hello", mentions_bot=True))
    await room.ann.says(thread, "unread")
    await room.answer(await room.ann.says(thread, "again", mentions_bot=True))
    assert len(await room.exchanges()) == 2


async def test_a_free_talk_channel_needs_no_mention(open_room: DiscordRoom):
    heard = listen(open_room)
    channel = open_room.channel
    await open_room.ann.says(channel, "nobody hears this")
    await open_room.ask_and_answer("but this")
    async with open_room.service.store.write() as session:
        await places.change(session, f"discord:channel:{channel.id}", source="discord", is_free_talk=True)
    open_room.chat.parts.chat.free_talk.forget()
    question = await open_room.ann.says(channel, "good morning")
    await open_room.answer(question)
    assert heard[-1][-1][1].endswith("good morning")
    _, exchange = await open_room.exchanges()
    assert exchange.conversation_id == f"discord:channel:{channel.id}"


async def test_without_the_intent_a_free_talk_channel_needs_mentions(room: DiscordRoom):
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", is_free_talk=True)
    await room.ann.says(room.channel, "unread")
    await room.ask_and_answer("heard")
    assert len(await room.exchanges()) == 1


async def test_a_direct_message_remembers_what_was_said(room: DiscordRoom):
    heard = listen(room)
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "my name is ann"))
    await room.answer(await room.ann.says(dm, "who am i"))
    assert heard[-1] == [
        ("user", "my name is ann"),
        ("assistant", "[codebeard@1] my name is ann"),
        ("user", "who am i"),
    ]


async def test_a_fresh_start_leaves_out_what_stands_above_it(room: DiscordRoom):
    heard = listen(room)
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "my name is ann"))
    await room.chat.bot.get_partial_messageable(dm.id).send(RESET_LINE)
    await room.answer(await room.ann.says(dm, "who am i"))
    assert heard[-1] == [("user", "who am i")]


async def test_mentions_in_a_question_are_read_as_names(room: DiscordRoom):
    heard = listen(room)
    ben = room.fake.add_person("ben")
    await room.ask_and_answer(f"greet {ben.mention} in <#{room.channel.id}> <:parrot:{room.channel.id}>")
    assert heard == [[("user", "greet @Ben in #general :parrot:")]]


async def test_what_was_forgotten_is_no_longer_in_memory(room: DiscordRoom):
    first = await room.ask_and_answer("a secret")
    assert len(room.chat.parts.chat.memory) == 1
    await room.answer(await room.ann.says(room.channel, "and more", reply_to=first))
    room.chat.parts.chat.memory.forget(f"discord:{room.ann.id}")
    assert not room.chat.parts.chat.memory


async def test_what_the_bot_says_besides_its_answers_is_nobodys_words(room: DiscordRoom):
    await registered(room)
    heard = listen(room)
    confirmation = await use(room, "persona", name="zen")
    question = await room.ann.says(room.channel, "is that so", reply_to=confirmation)
    await room.answer(question)
    await room.asks("")
    greeting = await room.channel.wait_for(
        lambda messages: messages[-1] if messages[-1].content.startswith("Hello") else None
    )
    await room.answer(await room.ann.says(room.channel, "good morning", reply_to=greeting))
    assert heard == [[("user", "is that so")], [("user", "good morning")]]


async def test_what_the_bot_says_besides_its_answers_needs_nobodys_consent(room: DiscordRoom):
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
    await room.asks("")
    greeting = await room.channel.wait_for(
        lambda messages: messages[-1] if messages[-1].content.startswith("Hello") else None
    )
    await room.answer(await room.ann.says(room.channel, "good morning", reply_to=greeting))
    [exchange] = await room.exchanges()
    assert exchange.prompt == [{"role": "user", "content": "good morning"}]


async def test_a_thread_begins_with_what_it_was_started_from(open_room: DiscordRoom):
    await registered(open_room)
    heard = listen(open_room)
    confirmation = await use(open_room, "persona", name="zen")
    remark = await open_room.ann.says(open_room.channel, "tabs are better than spaces")
    for start in (confirmation, remark):
        thread = await open_room.ann.starts_thread(start, "tales")
        await open_room.answer(await open_room.ann.says(thread, "is that so", mentions_bot=True))
    assert heard == [[("user", "is that so")], [("user", "tabs are better than spaces\nis that so")]]
