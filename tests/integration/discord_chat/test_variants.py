"""🔄 and ◀ 2/3 ▶: other answers to the same question in the same messages, and which of them a person likes best."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.chat import answers, endings, judging, variants
from bot.chat.access import AccessLimits
from bot.discord_chat.buttons import AGAIN, BEST, DELETE, DOWN, NEXT, PREVIOUS, STOP, UP
from core.queue.jobs import JobStatus
from core.store import consent, places, preferences
from core.store.models import Exchange, Preference
from tests.discord.rooms import DiscordRoom, discord_room, process_in
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord

HEADER = "**🏴 Captain Codebeard**\n"
FIRST_ROW = [UP, DOWN, AGAIN, DELETE]


def faces(message: Message) -> list[str]:
    return [(button.get("emoji") or {}).get("name") or button["label"] for button in message.buttons]


async def answered(room: DiscordRoom, text: str = "good morning") -> Message:
    """The last page of a finished answer, with its buttons."""
    question = await room.asks(text)
    exchange = await room.ended(question)
    page = (await room.pages(exchange))[-1]
    await room.channel.wait_for(lambda _: faces(page) == FIRST_ROW)
    return page


async def again(room: DiscordRoom, answer: Message, *, count: int, who: Person | None = None) -> Exchange:
    """Another answer to the same question, the `count`th, once its row says so."""
    await (who or room.ann).presses(answer, AGAIN)
    await shows(room, answer, f"{count}/{count}")
    return (await room.exchanges())[-1]


async def shows(room: DiscordRoom, answer: Message, place: str) -> None:
    await room.channel.wait_for(lambda _: place in faces(answer))


async def told(room: DiscordRoom, answer: Message, button: str, who: Person | None = None) -> str:
    reply = await (await (who or room.ann).presses(answer, button)).wait_reply()
    assert reply.ephemeral
    return reply.content


async def picks(room: DiscordRoom, who: Person) -> list[Preference]:
    async with room.service.store.write() as session:
        return await preferences.of_user(session, f"discord:{who.id}")


async def noted(room: DiscordRoom, exchange_id: str, label: bool | None) -> None:
    """Return once this is what the only judge of an answer thinks of it."""

    async def is_noted() -> bool:
        return {thumb.exchange_id: thumb.label for thumb in await room.thumbs()}.get(exchange_id) is label

    await room.until(is_noted)


async def test_another_answer_takes_the_place_of_the_first_in_the_same_message(room: DiscordRoom):
    answer = await answered(room)
    ben = room.fake.add_person("ben")
    second = await again(room, answer, count=2, who=ben)
    [first, _] = await room.exchanges()
    assert room.channel.from_bot == [answer]
    assert faces(answer) == [*FIRST_ROW, PREVIOUS, "2/2", NEXT, BEST]
    assert [button["custom_id"] for button in answer.buttons if button.get("disabled")] == [
        f"reply:place:{second.id}",
        f"reply:next:{second.id}",
    ]
    assert (second.variant_of, second.question_id, second.user_id) == (first.id, first.question_id, f"discord:{ben.id}")
    assert second.event_id.startswith("regenerate:")
    assert await room.pages(second) == [answer]
    assert await room.pages(first) == []


async def test_another_answer_is_drawn_with_another_seed_and_not_greedily(room: DiscordRoom):
    answer = await answered(room)
    second = await again(room, answer, count=2)
    [first, _] = await room.exchanges()
    third = await again(room, answer, count=3)
    assert first.sampling["temperature"] == 0
    assert {one.sampling["temperature"] for one in (second, third)} == {answers.VARIED_TEMPERATURE}
    assert len({first.seed, second.seed, third.seed}) == 3


async def test_another_answer_keeps_the_persona_and_takes_the_weights_it_has_now(room: DiscordRoom):
    answer = await answered(room)
    async with room.service.store.write() as session:
        await places.set_model(session, f"discord:channel:{room.channel.id}", source="discord", model="zen")
    second = await again(room, answer, count=2)
    assert second.model == "codebeard"
    assert answer.content == HEADER + "[codebeard@1] good morning"


async def test_while_another_answer_is_written_there_is_stop_and_a_second_wish_is_refused(room: DiscordRoom):
    answer = await answered(room)
    stale = [dict(button) for button in answer.buttons]
    room.gate.close()
    await room.ann.presses(answer, AGAIN)
    await room.channel.wait_for(lambda _: faces(answer) == [STOP])
    answer.components[0]["components"].append(next(one for one in stale if "again" in one["custom_id"]))
    assert await told(room, answer, AGAIN) == variants.BUSY
    room.gate.open()
    await shows(room, answer, "2/2")
    assert len(await room.exchanges()) == 2


async def test_a_stopped_variant_leaves_the_way_back(room: DiscordRoom):
    answer = await answered(room, "one two three")
    room.gate.close()
    await room.ann.presses(answer, AGAIN)
    await room.channel.wait_for(lambda _: faces(answer) == [STOP])
    room.gate.let_through(2)
    await room.channel.wait_for(lambda _: answer.content == HEADER + "[codebeard@1] one")
    await room.ann.presses(answer, STOP)
    await shows(room, answer, "2/2")
    assert faces(answer) == [AGAIN, DELETE, PREVIOUS, "2/2", NEXT]
    await room.ann.presses(answer, PREVIOUS)
    await room.channel.wait_for(lambda _: faces(answer) == FIRST_ROW)
    assert answer.content == HEADER + "[codebeard@1] one two three"


async def test_too_many_wishes_are_told_in_private_and_leave_the_answer_alone(tmp_path: Path):
    async with discord_room(tmp_path, limits=AccessLimits(per_user_per_minute=1)) as room:
        answer = await answered(room)
        assert "faster than I can answer" in await told(room, answer, AGAIN)
        assert answer.content == HEADER + "[codebeard@1] good morning"
        assert faces(answer) == FIRST_ROW
        assert len(await room.exchanges()) == 1


async def test_where_the_question_is_gone_there_is_no_other_answer(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann = fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            answer = await answered(room)
        assert answer.reply_to is not None
        await ann.deletes(answer.reply_to)
        async with process_in(tmp_path, fake, channel, ann) as room:
            assert "The question behind this answer is gone" in await told(room, answer, AGAIN)
        fake.check_contract()


async def test_the_arrows_show_every_answer_and_thumbs_go_to_what_is_shown(room: DiscordRoom):
    answer = await answered(room)
    await again(room, answer, count=2)
    await again(room, answer, count=3)
    ids = [exchange.id for exchange in await room.exchanges()]
    for button, place, exchange_id in ((PREVIOUS, "2/3", ids[1]), (PREVIOUS, "1/3", ids[0]), (NEXT, "2/3", ids[1])):
        await room.ann.presses(answer, button)
        await shows(room, answer, place)
        await room.ann.reacts(answer, "👍")
        await noted(room, exchange_id, True)
        await room.ann.unreacts(answer, "👍")
        await noted(room, exchange_id, None)
        await told(room, answer, DOWN)
    assert {thumb.exchange_id: thumb.label for thumb in await room.thumbs()} == {ids[0]: False, ids[1]: False}
    assert room.channel.from_bot == [answer]


async def test_answers_of_different_length_use_and_free_the_same_messages(wordy_room: DiscordRoom):
    room = wordy_room
    long = " ".join(["word"] * 394)  # with the persona's name before it more than one message holds
    last = await answered(room, long)
    first_page, second_page = room.channel.from_bot
    assert last is second_page
    room.gate.close()
    await room.ann.presses(last, AGAIN)
    room.gate.let_through(2)
    await room.channel.wait_for(lambda _: first_page.content == HEADER + "[codebeard@1] word")
    await room.ann.presses(await with_stop(room), STOP)
    await shows(room, first_page, "2/2")
    assert room.channel.from_bot == [first_page]
    room.gate.open()
    await room.ann.presses(first_page, PREVIOUS)
    await room.channel.wait_for(lambda _: faces(room.channel.from_bot[-1]) == FIRST_ROW and not first_page.buttons)
    _, third = room.channel.from_bot
    said = f"{first_page.content} {third.content}".removeprefix(HEADER)
    assert said.split() == ["[codebeard@1]", *long.split()]
    await room.ann.presses(third, DELETE)
    await room.channel.wait_for(lambda _: room.channel.from_bot == [])


async def with_stop(room: DiscordRoom) -> Message:
    """The message that has the ⏹ now."""
    return await room.channel.wait_for(
        lambda messages: next((message for message in messages if STOP in faces(message)), None)
    )


async def test_a_pick_is_a_preference_over_every_other_answer_and_the_latest_counts(room: DiscordRoom):
    answer = await answered(room)
    await again(room, answer, count=2)
    await again(room, answer, count=3)
    first, second, third = (exchange.id for exchange in await room.exchanges())
    assert await told(room, answer, BEST) == judging.CHOSEN.format(count=3)
    assert {(pair.chosen_id, pair.rejected_id) for pair in await picks(room, room.ann)} == {
        (third, first),
        (third, second),
    }
    await room.ann.presses(answer, PREVIOUS)
    await shows(room, answer, "2/3")
    confirmation = await (await room.ann.presses(answer, BEST)).wait_reply()
    assert {(pair.chosen_id, pair.rejected_id) for pair in await picks(room, room.ann)} == {
        (second, first),
        (second, third),
    }
    await room.ann.presses(confirmation, "Take it back")
    await room.fake.wait_for(lambda: confirmation.content == judging.TAKEN_BACK)
    assert await picks(room, room.ann) == []


@pytest.mark.parametrize("who", ["who asked", "a moderator"])
async def test_who_asked_first_and_moderators_delete_all_variants_and_who_wished_for_one_does_not(
    room: DiscordRoom, who: str
):
    async with room.service.store.write() as session:
        for who in (room.ann, ben := room.fake.add_person("ben")):
            await consent.give(session, f"discord:{who.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
    answer = await answered(room)
    await again(room, answer, count=2, who=ben)
    assert all(exchange.reply for exchange in await room.exchanges())
    assert await told(room, answer, DELETE, ben) == endings.NOT_YOURS.format(do="delete")
    mod = room.fake.add_person("mod")
    room.channel.guild.grant(mod, "manage_messages")
    await (room.ann if who == "who asked" else mod).presses(answer, DELETE)
    await room.fake.wait_for(lambda: answer.deleted)

    async def is_forgotten() -> bool:
        return not any(exchange.reply for exchange in await room.exchanges())

    await room.until(is_forgotten)
    assert [exchange.status for exchange in await room.exchanges()] == [JobStatus.SUCCEEDED] * 2


async def test_a_webhooks_answer_is_written_anew_in_its_own_message(room: DiscordRoom):
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", identity="webhook")
    answer = await answered(room)
    await again(room, answer, count=2)
    await room.ann.presses(answer, PREVIOUS)
    await shows(room, answer, "1/2")
    assert room.channel.from_bot == [answer]
    assert answer.webhook is not None
    assert answer.content == "[codebeard@1] good morning"


async def test_an_answer_for_one_person_alone_is_written_anew(room: DiscordRoom):
    await room.fake.wait_for(lambda: room.fake.application.registered(None))
    asked = await room.ann.uses("ask", room.channel, question="good morning", private=True)
    answer = await asked.wait_reply()
    await room.fake.wait_for(lambda: faces(answer) == FIRST_ROW)
    await again(room, answer, count=2)
    await room.ann.presses(answer, PREVIOUS)
    await room.fake.wait_for(lambda: "1/2" in faces(answer))
    assert answer.ephemeral
    assert answer.content == HEADER + "[codebeard@1] good morning"


async def test_after_a_restart_only_kept_words_can_be_shown_again(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann = fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            fleeting = await answered(room)
            await again(room, fleeting, count=2)
            async with room.service.store.write() as session:
                await consent.give(session, f"discord:{ann.id}", source="discord")
                await places.change(session, f"discord:channel:{channel.id}", source="discord", is_text_kept=True)
            kept = await answered(room, "keep this")
            await again(room, kept, count=2)
        async with process_in(tmp_path, fake, channel, ann) as room:
            assert await told(room, fleeting, PREVIOUS) == variants.NOT_KEPT
            assert "2/2" in faces(fleeting)
            await ann.presses(kept, PREVIOUS)
            await shows(room, kept, "1/2")
            assert kept.content == HEADER + "[codebeard@1] keep this"
            await again(room, fleeting, count=3)
            await ann.presses(fleeting, PREVIOUS)  # its words were read from the message before they were overwritten
            await shows(room, fleeting, "2/3")
            assert fleeting.content == HEADER + "[codebeard@1] good morning"
        fake.check_contract()


async def test_a_message_always_leads_to_the_variant_that_it_shows(room: DiscordRoom):
    answer = await answered(room)
    await again(room, answer, count=2)
    await room.ann.presses(answer, PREVIOUS)
    await shows(room, answer, "1/2")
    [first, second] = await room.exchanges()
    assert await room.pages(first) == [answer]
    assert await room.pages(second) == []
