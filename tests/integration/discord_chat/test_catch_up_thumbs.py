"""Thumbs that were given or taken back on Discord while the bot was away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from bot.discord_chat.buttons import AGAIN, UP
from core.store import data_rights
from tests.discord.rooms import DiscordRoom
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord

Run = Callable[..., AbstractAsyncContextManager[DiscordRoom]]


async def noted(room: DiscordRoom, *, up: tuple[Person, ...] = (), down: tuple[Person, ...] = ()) -> None:
    """Return once exactly these people judge an answer of the room."""

    async def is_noted() -> bool:
        return await room.marks() == dict.fromkeys(up, True) | dict.fromkeys(down, False)

    await room.until(is_noted)


async def answered(room: DiscordRoom) -> Message:
    """An answer with its buttons."""
    answer = await room.ask_and_answer("one")
    await room.channel.wait_for(
        lambda _: AGAIN in {(button.get("emoji") or {}).get("name") for button in answer.buttons}
    )
    return answer


async def test_thumbs_of_the_time_away_count_and_those_taken_back_do_not(run: Run, caught_up, fake: FakeDiscord):
    ben, cat, dan, robot = (fake.add_person(name, bot=name == "robot") for name in ("ben", "cat", "dan", "robot"))
    async with run() as room:
        first, second, third = [await room.ask_and_answer(words) for words in ("one", "two", "three")]
        await room.ann.reacts(first, "👍")
        await cat.reacts(third, "👍")
        await noted(room, up=(room.ann, cat))
    await room.ann.unreacts(first, "👍")
    await ben.reacts(first, "👍🏽")  # as many as before, and somebody else's
    await dan.reacts(second, "👎")
    await robot.reacts(second, "👍")
    await cat.unreacts(third, "👍")
    await cat.reacts(third, "👎")
    async with run() as room:
        await noted(room, up=(ben,), down=(cat, dan))
        await caught_up(room)
        assert await room.marks() == {ben: True, cat: False, dan: False}


async def test_of_two_thumbs_and_beside_a_press_nothing_is_guessed(run: Run, caught_up, fake: FakeDiscord):
    ben, cat, dan = (fake.add_person(name) for name in ("ben", "cat", "dan"))
    async with run() as room:
        answer = await answered(room)
        await (await cat.presses(answer, UP)).wait_reply()
        await dan.reacts(answer, "👍")
        await noted(room, up=(cat, dan))
    for who, emoji in ((ben, "👍"), (ben, "👎"), (cat, "👎"), (dan, "👎"), (room.ann, "👎")):
        await who.reacts(answer, emoji)
    async with run() as room:
        await caught_up(room)
        assert await room.marks() == {cat: True, dan: True, room.ann: False}


async def test_a_thumb_under_a_former_variant_is_not_given_to_the_one_shown_now(run: Run, caught_up):
    async with run() as room:
        answer = await answered(room)
        await room.ann.reacts(answer, "👎")
        await noted(room, down=(room.ann,))
        question = answer.reply_to
        assert question is not None
        await room.ann.presses(answer, AGAIN)
        await room.ended(question, count=2)
    async with run() as room:
        await caught_up(room)
        former, _shown = await room.exchanges()
        assert [thumb.exchange_id for thumb in await room.thumbs()] == [former.id]
    await room.ann.unreacts(answer, "👎")
    async with run() as room:
        await noted(room)


async def test_the_thumbs_of_somebody_who_was_forgotten_do_not_come_back(run: Run, caught_up, fake: FakeDiscord):
    ben = fake.add_person("ben")
    async with run() as room:
        answer = await room.ask_and_answer("one")
        await room.ann.reacts(answer, "👍")
        await ben.reacts(answer, "👎")
        await noted(room, up=(room.ann,), down=(ben,))
        async with room.service.store.write() as session:
            await data_rights.forget(session, f"discord:{room.ann.id}")
    async with run() as room:
        await caught_up(room)
        assert await room.marks() == {ben: False}
    await ben.unreacts(answer, "👎")
    async with run() as room:
        await noted(room)


async def test_a_vote_that_was_taken_back_does_not_come_back_for_its_reaction(run: Run, caught_up):
    async with run() as room:
        answer = await answered(room)
        await room.ann.reacts(answer, "👍")
        await noted(room, up=(room.ann,))
        said = await (await room.ann.presses(answer, UP)).wait_reply()
        await room.ann.presses(said, "Take it back")
        await noted(room)
    async with run() as room:
        await caught_up(room)
        assert await room.marks() == {}


async def test_a_live_reaction_waits_for_its_turn_while_the_same_message_is_read(run: Run, fake: FakeDiscord):
    ben = fake.add_person("ben")
    async with run() as room:
        answer = await room.ask_and_answer("one")
    await room.ann.reacts(answer, "👍")
    await ben.reacts(answer, "👎")
    fault = fake.faults.hang("GET", f"/channels/*/messages/{answer.id}/reactions/👎")
    async with run() as room:
        await fault.struck.wait()  # ann's has been read
        await room.ann.unreacts(answer, "👍")
        await room.ask_and_answer("two")
        fault.release()
        await noted(room, down=(ben,))


async def test_a_session_that_begins_anew_is_caught_up_with_and_a_resumed_one_lost_nothing(
    run: Run, caught_up, fake: FakeDiscord
):
    async with run() as room:
        await caught_up(room)
        answer = await room.ask_and_answer("one")
        await fake.gateway.drop()
        await fake.gateway.wait_resumed()
        await room.ask_and_answer("two")
        assert not fake.requests_of("GET", f"/channels/{room.channel.id}/messages")
        fake.gateway.hold()
        await fake.gateway.drop()
        fake.gateway.forget_sessions()
        await room.ann.reacts(answer, "👍")
        fake.gateway.release()
        await noted(room, up=(room.ann,))
