"""Thumbs as reactions to replies: whoever posted them and however old they are, they count as long as they stand."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.chat import calls, thumbs
from bot.discord_chat.buttons import AGAIN, DOWN, STOP, UP
from bot.discord_chat.names import message_key
from core.store import exchanges, places
from tests.discord.rooms import DiscordRoom, process_in
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord

LONG = " ".join(["word"] * 394)  # with the persona's name before it more than one message holds


def has(message: Message, button: str) -> bool:
    return any((part.get("emoji") or {}).get("name") == button for part in message.buttons)


async def answered(room: DiscordRoom, words: str = "good morning") -> Message:
    """The first page of an answer that stands."""
    question = await room.asks(words)
    answer = await room.answer(question)
    await room.channel.wait_for(lambda messages: has(messages[-1], AGAIN))
    return answer


async def begun(room: DiscordRoom) -> Message:
    """An answer that has said a word and is held then."""
    return await room.channel.wait_for(
        lambda messages: messages[-1] if "one" in messages[-1].content and has(messages[-1], STOP) else None
    )


async def noted(room: DiscordRoom, *, up: tuple[Person, ...] = (), down: tuple[Person, ...] = ()) -> None:
    """Return once exactly these people judge an answer of the room."""

    async def is_noted() -> bool:
        return await room.marks() == dict.fromkeys(up, True) | dict.fromkeys(down, False)

    await room.until(is_noted)


async def told(who: Person, answer: Message, button: str) -> str:
    return (await (await who.presses(answer, button)).wait_reply()).content


def moderator(room: DiscordRoom) -> Person:
    mod = room.fake.add_person("mod")
    room.channel.guild.grant(mod, "manage_messages")
    return mod


@pytest.mark.parametrize(("emoji", "is_up"), [("👍", True), ("👎", False), ("👍🏽", True), ("👎🏿", False)])
async def test_a_thumb_in_any_skin_counts_and_removing_it_takes_it_back(room: DiscordRoom, emoji: str, is_up: bool):
    answer = await answered(room)
    await room.ann.reacts(answer, emoji)
    await noted(room, up=(room.ann,) if is_up else (), down=() if is_up else (room.ann,))
    await room.ann.unreacts(answer, emoji)
    await noted(room)


async def test_other_emojis_other_messages_and_bots_do_not_count(room: DiscordRoom):
    answer = await answered(room)
    ben, robot = room.fake.add_person("ben"), room.fake.add_person("robot", bot=True)
    for emoji in ("🎉", "👍:123456789012345678", "👎:123456789012345678"):
        await room.ann.reacts(answer, emoji)
    assert answer.reply_to is not None
    await room.ann.reacts(answer.reply_to, "👍")
    await robot.reacts(answer, "👍")
    channel = room.chat.bot.get_partial_messageable(room.channel.id)
    await channel.get_partial_message(answer.id).add_reaction("👎")
    await ben.reacts(answer, "👍")
    await noted(room, up=(ben,))
    await moderator(room).clears_reactions(answer, "👎")
    await robot.unreacts(answer, "👍")
    await ben.unreacts(answer, "👍")
    await noted(room)


async def test_a_person_counts_once_on_all_pages_and_the_latest_thumb_is_theirs(wordy_room: DiscordRoom):
    room, ann = wordy_room, wordy_room.ann
    first = await answered(room, LONG)
    second = room.channel.from_bot[-1]
    assert first is not second
    await ann.reacts(first, "👍")
    await noted(room, up=(ann,))
    await ann.reacts(second, "👎")
    await noted(room, down=(ann,))
    await ann.unreacts(second, "👎")
    await noted(room, up=(ann,))  # the other one still stands
    await ann.reacts(second, "👍🏻")
    await ann.unreacts(first, "👍")
    await ann.reacts(first, "👎")
    await noted(room, down=(ann,))
    await ann.unreacts(first, "👎")
    await noted(room, up=(ann,))
    await ann.unreacts(second, "👍🏻")
    await noted(room)


async def test_removing_a_reaction_leaves_a_later_press_of_the_other_thumb(room: DiscordRoom):
    answer = await answered(room)
    ben = room.fake.add_person("ben")
    await room.ann.reacts(answer, "👍")
    await noted(room, up=(room.ann,))
    await told(room.ann, answer, DOWN)
    await room.ann.unreacts(answer, "👍")
    await ben.reacts(answer, "👍")  # taken in after what ann has done
    await noted(room, up=(ben,), down=(room.ann,))


async def test_sweeping_all_reactions_away_takes_back_what_they_gave_and_no_more(room: DiscordRoom):
    answer = await answered(room)
    ben, cat = room.fake.add_person("ben"), room.fake.add_person("cat")
    await told(ben, answer, UP)
    await room.ann.reacts(answer, "👍")
    await cat.reacts(answer, "👎")
    await noted(room, up=(ben, room.ann), down=(cat,))
    await moderator(room).clears_reactions(answer)
    await noted(room, up=(ben,))


async def test_sweeping_one_emoji_away_leaves_the_others(room: DiscordRoom):
    answer = await answered(room)
    ben, cat = room.fake.add_person("ben"), room.fake.add_person("cat")
    await room.ann.reacts(answer, "👎")
    await ben.reacts(answer, "👍")
    await cat.reacts(answer, "👎")
    await cat.reacts(answer, "👎🏻")
    await noted(room, up=(ben,), down=(room.ann, cat))
    await moderator(room).clears_reactions(answer, "👎")
    await noted(room, up=(ben,), down=(cat,))


async def test_without_the_history_one_thumb_goes_alone_and_a_sweep_takes_all(room: DiscordRoom):
    answer = await answered(room)
    ben, cat, dan = (room.fake.add_person(name) for name in ("ben", "cat", "dan"))
    for who, emoji in ((room.ann, "👍"), (ben, "👍"), (cat, "👎"), (dan, "👎")):
        await who.reacts(answer, emoji)
    await noted(room, up=(room.ann, ben), down=(cat, dan))
    mod = moderator(room)
    room.channel.forbid_bot("read_message_history")
    await room.ann.unreacts(answer, "👍")
    await noted(room, up=(ben,), down=(cat, dan))
    await mod.clears_reactions(answer, "👍")
    await noted(room, down=(cat, dan))
    await mod.clears_reactions(answer)
    await noted(room)


async def test_without_the_history_an_older_thumb_that_goes_leaves_the_later_one(room: DiscordRoom):
    answer = await answered(room)
    ben = room.fake.add_person("ben")
    await room.ann.reacts(answer, "👍")
    await noted(room, up=(room.ann,))
    await room.ann.reacts(answer, "👎")
    await noted(room, down=(room.ann,))
    room.channel.forbid_bot("read_message_history")
    await room.ann.unreacts(answer, "👍")
    await ben.reacts(answer, "👍")  # taken in after what ann has done
    await noted(room, up=(ben,), down=(room.ann,))


async def test_a_thumb_that_goes_while_discord_is_out_of_order_takes_no_other_with_it(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", ())
    answer = await answered(room)
    ben, cat = room.fake.add_person("ben"), room.fake.add_person("cat")
    for who, emoji in ((room.ann, "👍"), (ben, "👎"), (cat, "👎")):
        await who.reacts(answer, emoji)
    await noted(room, up=(room.ann,), down=(ben, cat))
    room.fake.faults.refuse("GET", "/channels/*/messages*", 503, times=10_000)
    await ben.unreacts(answer, "👎")
    await noted(room, up=(room.ann,), down=(cat,))
    await moderator(room).clears_reactions(answer, "👍")
    await noted(room, down=(cat,))


async def test_a_reaction_to_a_webhooks_answer_counts(room: DiscordRoom):
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", identity="webhook")
    answer = await answered(room)
    assert answer.webhook is not None
    await room.ann.reacts(answer, "👎")
    await noted(room, down=(room.ann,))
    await room.ann.unreacts(answer, "👎")
    await noted(room)


async def test_a_reaction_in_a_direct_message_counts(room: DiscordRoom):
    question = await room.ann.says(await room.ann.opens_dm(), "are you there")
    answer = await room.answer(question)
    await room.ann.reacts(answer, "👍")
    await noted(room, up=(room.ann,))
    await room.ann.unreacts(answer, "👍")
    await noted(room)


async def test_a_thumb_in_mid_reply_is_held_until_the_reply_has_ended(room: DiscordRoom):
    ben = room.fake.add_person("ben")
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    answer = await begun(room)
    await room.ann.reacts(answer, "👍")
    await ben.reacts(answer, "👎")
    await ben.unreacts(answer, "👎")
    room.gate.open()
    await room.ended(question)
    await noted(room, up=(room.ann,))


async def test_a_stopped_answer_is_not_judged_and_the_next_one_is(room: DiscordRoom):
    room.gate.close()
    await room.asks("one two three")
    room.gate.let_through(2)
    answer = await begun(room)
    await room.ann.reacts(answer, "👎")
    await room.ann.presses(answer, STOP)
    await room.channel.wait_for(lambda _: has(answer, AGAIN))
    room.gate.open()
    second = await answered(room)
    await room.ann.reacts(second, "👍")
    await noted(room, up=(room.ann,))
    _, exchange = await room.exchanges()
    assert [thumb.exchange_id for thumb in await room.thumbs()] == [exchange.id]


async def test_a_thumb_waits_for_a_store_that_is_out_of_order(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(thumbs, "RETRY_DELAYS_S", (0.1,) * 500)
    caplog.set_level(logging.INFO, logger=thumbs.__name__)
    answer = await answered(room)
    async with room.service.store.write() as session:
        await session.execute(text("ALTER TABLE feedback RENAME TO hidden"))
    await room.ann.reacts(answer, "👍")

    async def is_waiting() -> bool:
        return "waits for the store" in caplog.text

    await room.until(is_waiting)
    async with room.service.store.write() as session:
        await session.execute(text("ALTER TABLE hidden RENAME TO feedback"))
    await noted(room, up=(room.ann,))


async def test_a_reaction_to_an_answer_of_an_earlier_process_counts(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann, ben = fake.add_person("ann"), fake.add_person("ben")
        async with process_in(tmp_path, fake, channel, ann) as room:
            answer = await answered(room)
            await ann.reacts(answer, "👍")
            await noted(room, up=(ann,))
        async with process_in(tmp_path, fake, channel, ann) as room:
            assert not room.chat.bot.cached_messages
            await ben.reacts(answer, "👎")
            await noted(room, up=(ann,), down=(ben,))
            await ann.unreacts(answer, "👍")
            await noted(room, down=(ben,))
        fake.check_contract()


async def test_thumbs_that_were_held_when_the_process_died_are_read_again(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann, ben, robot = fake.add_person("ann"), fake.add_person("ben"), fake.add_person("robot", bot=True)
        async with process_in(tmp_path, fake, channel, ann) as room:
            answer = await answered(room)
            [exchange] = await room.exchanges()
            async with room.service.store.write() as session:  # as a crash before the last edit leaves it
                key = message_key(channel.id, answer.id)
                await exchanges.add_delivery(session, exchange.id, key, is_final=False)
        for who, emoji in ((ann, "👍🏿"), (ben, "👍"), (ben, "👎"), (robot, "👎")):
            await who.reacts(answer, emoji)
        async with process_in(tmp_path, fake, channel, ann) as room:
            await noted(room, up=(ann,))  # of ben's two, the last is unknown
        fake.check_contract()
