"""Which messages the bot answers, and what it says where it cannot know what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.chat import calls
from bot.chat.access import Access, AccessLimits
from bot.chat.conversation import FILES_UNREAD
from bot.chat.sliding_window import SlidingWindow
from bot.discord_chat.history import PARENT_HIDDEN
from bot.discord_chat.listener import ONLY_ROLE_NAMED, TOLD_AGAIN_AFTER_S, UNREADABLE_REPLY
from core.store import places
from tests.discord.rooms import DiscordRoom, discord_room
from tests.examples.queue import FrozenClock
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person

HEADER = "**🏴 Captain Codebeard**\n"


def from_bot(room: DiscordRoom, text: str) -> list[Message]:
    """What the bot says in the channel that has this in it."""
    return [message for message in room.channel.from_bot if text in message.content]


def typed(room: DiscordRoom) -> int:
    return sum(typing.user is room.fake.bot for typing in room.channel.typing)


async def replies_silently(room: DiscordRoom, answer: Message, who: Person) -> Message:
    return await who.says(answer.channel, "is that so", reply_to=answer, ping=False)


async def test_a_thread_that_the_bot_was_taken_out_of_is_left_alone(open_room: DiscordRoom):
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    await open_room.answer(await open_room.ann.says(thread, "hello", mentions_bot=True))
    await open_room.answer(await open_room.ann.says(thread, "go on"))
    thread.expel(open_room.fake.bot)

    async def is_out() -> bool:
        return getattr(open_room.chat.bot.get_channel(thread.id), "me", open_room) is None

    async def has_passed() -> bool:
        return any(message.content == "among ourselves now" for message in open_room.chat.bot.cached_messages)

    await open_room.until(is_out)
    await open_room.ann.says(thread, "among ourselves now")
    await open_room.until(has_passed)  # before the mention, which brings the bot back
    await open_room.answer(await open_room.ann.says(thread, "come back", mentions_bot=True))
    await open_room.answer(await open_room.ann.says(thread, "and stay"))
    assert len(await open_room.exchanges()) == 4


async def test_the_bots_own_role_stands_for_the_bot(open_room: DiscordRoom):
    role = open_room.channel.guild.bot_role
    answer = await open_room.answer(await open_room.ann.says(open_room.channel, f"<@&{role.id}> good morning"))
    assert answer.content == HEADER + "[codebeard@1] good morning"


async def test_without_the_intent_who_mentions_the_role_is_told_to_mention_the_bot(room: DiscordRoom):
    role = room.channel.guild.bot_role
    for _ in range(2):
        await room.ann.says(room.channel, f"<@&{role.id}> good morning")
    sentence = ONLY_ROLE_NAMED.format(name=room.fake.bot.mention)
    await room.channel.wait_for(lambda _: len(from_bot(room, sentence)) == 2)
    assert await room.exchanges() == []
    assert typed(room) == 0


async def test_a_call_to_a_role_or_to_everyone_is_not_for_the_bot_where_it_answers_all(open_room: DiscordRoom):
    channel, ann = open_room.channel, open_room.ann
    async with open_room.service.store.write() as session:
        await places.change(session, f"discord:channel:{channel.id}", source="discord", is_free_talk=True)
    crew = channel.guild.grant(ann, "mention_everyone")
    await ann.says(channel, "@everyone meeting at 5")
    await ann.says(channel, f"<@&{crew.id}> meeting at 5")
    thread = await ann.starts_thread(channel, "tales")
    await open_room.answer(await ann.says(thread, "hello", mentions_bot=True))
    await ann.says(thread, "@everyone meeting at 5")
    await open_room.answer(await ann.says(thread, "where were we"))
    await open_room.answer(await ann.says(channel, "good morning"))
    assert len(await open_room.exchanges()) == 3


async def test_who_replies_to_what_discord_hides_reads_so_under_the_answer(room: DiscordRoom):
    remark = await room.fake.add_person("ben").says(room.channel, "tabs are better than spaces")
    answer = await room.ask_and_answer("is that so", reply_to=remark)
    assert answer.content == f"{HEADER}[codebeard@1] is that so\n-# {PARENT_HIDDEN}"
    question = await room.ann.says(room.channel, "go on", reply_to=answer)
    assert (await room.answer(question)).content == HEADER + "[codebeard@1] go on"


async def test_with_the_intent_nothing_is_hidden(open_room: DiscordRoom):
    remark = await open_room.fake.add_person("ben").says(open_room.channel, "tabs are better than spaces")
    answer = await open_room.ask_and_answer("is that so", reply_to=remark)
    assert PARENT_HIDDEN not in answer.content


async def test_a_bare_mention_below_what_discord_hides_says_so_instead_of_a_greeting(room: DiscordRoom):
    remark = await room.fake.add_person("ben").says(room.channel, "tabs are better than spaces")
    await room.asks("", reply_to=remark)
    await room.channel.wait_for(lambda messages: messages[-1].content == PARENT_HIDDEN)
    assert await room.exchanges() == []


async def test_who_attaches_something_reads_that_only_the_text_was_read(room: DiscordRoom):
    answer = await room.ask_and_answer("what is this", files={"map.png": b"x"})
    assert answer.content == f"{HEADER}[codebeard@1] what is this\n-# {FILES_UNREAD}"
    await room.asks("", files={"map.png": b"x"})
    await room.channel.wait_for(lambda messages: messages[-1].content == FILES_UNREAD)


async def test_what_is_attached_to_the_message_replied_to_was_not_read_either(open_room: DiscordRoom):
    picture = await open_room.fake.add_person("ben").says(open_room.channel, "", files={"map.png": b"x"})
    answer = await open_room.ask_and_answer("what is this", reply_to=picture)
    assert answer.content.endswith(f"\n-# {FILES_UNREAD}")
    await open_room.asks("", reply_to=picture)
    await open_room.channel.wait_for(lambda messages: messages[-1].content == FILES_UNREAD)


async def test_whose_reply_is_hidden_is_told_so_once_an_hour_in_each_channel(room: DiscordRoom):
    clock = FrozenClock()
    room.chat.parts.listener._told = SlidingWindow(clock, TOLD_AGAIN_AFTER_S)
    sentence = UNREADABLE_REPLY.format(name=room.fake.bot.mention)
    ben = room.fake.add_person("ben")
    answer = await room.ask_and_answer("what is a mutex")
    for who, so_far in ((room.ann, 1), (room.ann, 1), (ben, 2)):
        await replies_silently(room, answer, who)
        await room.channel.wait_for(lambda _, so_far=so_far: len(from_bot(room, sentence)) == so_far)
    clock.now += TOLD_AGAIN_AFTER_S
    await replies_silently(room, answer, room.ann)
    await room.channel.wait_for(lambda _: len(from_bot(room, sentence)) == 3)
    other = room.channel.guild.add_channel("other")
    elsewhere = await room.answer(await room.ann.says(other, "and a semaphore", mentions_bot=True))
    await replies_silently(room, elsewhere, room.ann)
    await other.wait_for(lambda messages: messages[-1].content == sentence)
    assert len(await room.exchanges()) == 2


async def test_who_is_not_answered_does_not_see_the_bot_typing(tmp_path: Path):
    async with discord_room(tmp_path) as room:
        robot, eve = room.fake.add_person("robot", bot=True), room.fake.add_person("eve")
        limits = AccessLimits(per_user_per_minute=1, blocked_users=frozenset({f"discord:{eve.id}"}))
        room.chat.access = room.chat.parts.chat.replies._access = Access(limits)
        await room.asks("hello fellow machine", who=robot)
        await room.asks("let me in", who=eve)
        await room.ask_and_answer("one")
        await room.asks("two")
        await room.channel.wait_for(lambda _: from_bot(room, "faster than I can answer"))
        await room.ask_and_answer("three", who=room.fake.add_person("ben"))
        await room.channel.wait_for_typing(2)
        assert typed(room) == 2


async def test_a_greeting_comes_although_discord_was_out_of_reach_for_a_moment(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0,))
    room.fake.faults.cut("POST", "/channels/*/messages")
    await room.asks("")
    await room.channel.wait_for(lambda _: from_bot(room, "Hello from Captain Codebeard."))


@pytest.mark.parametrize("why", ["blocked", "a foreign bot", "over the limit"])
async def test_nothing_is_read_for_somebody_who_may_not_ask(tmp_path: Path, why: str):
    async with discord_room(tmp_path) as room:
        eve = room.fake.add_person("eve", bot=why == "a foreign bot")
        room.chat.parts.chat.replies._access = Access(
            AccessLimits(
                per_user_per_minute=1 if why == "over the limit" else None,
                blocked_users=frozenset({f"discord:{eve.id}"} if why == "blocked" else ()),
            )
        )
        thread = await room.ann.starts_thread(room.channel, "tales")
        await room.answer(await room.ann.says(thread, "once", mentions_bot=True))
        if why == "over the limit":
            await room.answer(await eve.says(thread, "upon", mentions_bot=True))
        refused = await eve.says(thread, "a time", mentions_bot=True)
        answered = await room.fake.add_person("ben").says(thread, "there was", mentions_bot=True)
        await room.answer(answered)
        read = {one.query.get("before") for one in room.fake.requests_of("GET", f"/channels/{thread.id}/messages")}
        assert str(answered.id) in read
        assert str(refused.id) not in read
