"""The buttons under a reply: thumbs, ⏹ and 🗑. They outlive the process that posted them."""

from __future__ import annotations

from pathlib import Path

from bot.chat import endings, judging
from bot.chat.buttons import UNKNOWN
from bot.discord_chat.buttons import AGAIN, DELETE, DOWN, STOP, UP
from bot.discord_chat.names import message_key
from core.engine.echo_engine import EchoEngine
from core.queue.jobs import JobStatus
from core.store import consent, exchanges, places
from core.store.models import Exchange
from tests.discord.rooms import DiscordRoom, discord_room, process_in
from tests.fakes.fake_discord.interactions import Interaction
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord

LONG = " ".join(["word"] * 394)  # one message, but with the persona's name before it two


def faces(message: Message) -> list[str]:
    """What stands on the buttons, row by row."""
    return [(button.get("emoji") or {}).get("name") or button["label"] for button in message.buttons]


async def answered(room: DiscordRoom, text: str = "good morning", who: Person | None = None) -> Message:
    """The last page of a finished answer, with its row of buttons."""
    question = await room.asks(text, who=who)
    exchange = await room.ended(question)
    return await last_page(room, exchange)


async def last_page(room: DiscordRoom, exchange: Exchange) -> Message:
    page = (await room.pages(exchange))[-1]
    await room.channel.wait_for(lambda _: DELETE in faces(page))
    return page


async def shown_running(room: DiscordRoom, text: str = "one two three") -> Message:
    """A reply that is being written and has said a word."""
    room.gate.close()
    await room.asks(text)
    room.gate.let_through(2)
    return await room.channel.wait_for(
        lambda messages: messages[-1] if "one" in messages[-1].content and messages[-1].is_bots_own else None
    )


async def told(interaction: Interaction) -> str:
    """What the bot said to who pressed, to them alone."""
    reply = await interaction.wait_reply()
    assert reply.only_for is interaction.user
    return reply.content


async def test_a_finished_answer_has_thumbs_regenerate_and_delete(room: DiscordRoom):
    assert faces(await answered(room)) == [UP, DOWN, AGAIN, DELETE]


async def test_a_running_answer_has_stop_alone(room: DiscordRoom):
    answer = await shown_running(room)
    assert faces(answer) == [STOP]
    room.gate.open()
    await room.channel.wait_for(lambda _: faces(answer) == [UP, DOWN, AGAIN, DELETE])


async def test_every_button_names_its_exchange_within_a_hundred_characters(room: DiscordRoom):
    answer = await answered(room)
    [exchange] = await room.exchanges()
    assert all(exchange.id in button["custom_id"] and len(button["custom_id"]) <= 100 for button in answer.buttons)


async def test_of_several_pages_only_the_last_one_has_buttons(wordy_room: DiscordRoom):
    room = wordy_room
    last = await answered(room, LONG)
    first, second = room.channel.from_bot
    await room.channel.wait_for(lambda _: not first.buttons)
    assert second is last


async def test_a_thumb_up_is_noted_and_confirmed_to_who_pressed_alone(room: DiscordRoom):
    answer = await answered(room)
    pressed = await room.ann.presses(answer, UP)
    assert await told(pressed) == "👍 Noted, thank you."
    assert await room.marks() == {room.ann: True}


async def test_the_latest_thumb_of_a_person_counts_once(room: DiscordRoom):
    answer = await answered(room)
    ben = room.fake.add_person("ben")
    for who, button in ((room.ann, UP), (ben, UP), (room.ann, DOWN), (room.ann, DOWN)):
        await told(await who.presses(answer, button))
    assert await room.marks() == {room.ann: False, ben: True}


async def test_a_thumb_can_be_taken_back(room: DiscordRoom):
    answer = await answered(room)
    confirmation = await (await room.ann.presses(answer, UP)).wait_reply()
    await room.ann.presses(confirmation, "Take it back")
    await room.fake.wait_for(lambda: confirmation.content == judging.TAKEN_BACK)
    assert confirmation.buttons == []
    assert await room.thumbs() == []


async def test_a_press_that_arrives_twice_counts_once(room: DiscordRoom):
    answer = await answered(room)
    room.fake.gateway.duplicate("INTERACTION_CREATE")
    pressed = await room.ann.presses(answer, UP)
    await told(pressed)
    ben = room.fake.add_person("ben")
    await told(await ben.presses(answer, DOWN))
    assert len(pressed.replies) == 1
    assert await room.marks() == {room.ann: True, ben: False}


async def test_a_press_is_acknowledged_while_the_store_is_held_by_somebody_else(room: DiscordRoom):
    answer = await answered(room)
    async with room.service.store.write():  # SQLite's only turn
        pressed = await room.ann.presses(answer, UP)
        await pressed.wait_acknowledged()
        assert pressed.reply is None
    assert await told(pressed) == "👍 Noted, thank you."


async def test_the_buttons_of_an_earlier_process_work(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann = fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            answer = await answered(room)
            confirmation = await (await ann.presses(answer, DOWN)).wait_reply()
        async with process_in(tmp_path, fake, channel, ann) as room:
            ben = fake.add_person("ben")
            await told(await ben.presses(answer, UP))
            await ann.presses(confirmation, "Take it back")
            await fake.wait_for(lambda: confirmation.content == judging.TAKEN_BACK)
            assert await room.marks() == {ben: True}
            await ann.presses(answer, DELETE)
            await fake.wait_for(lambda: answer.deleted)
        fake.check_contract()


async def test_an_answer_that_failed_offers_no_thumbs_and_answers_old_ones_kindly(tmp_path: Path):
    async with discord_room(tmp_path, engine=EchoEngine(fails_on="boom")) as room:
        good = await answered(room)
        failed = await answered(room, "say boom now")
        assert faces(failed) == [AGAIN, DELETE]
        _, exchange = await room.exchanges()
        good.buttons[0]["custom_id"] = f"reply:up:{exchange.id}"
        assert await told(await room.ann.presses(good, UP)) == judging.UNJUDGED[JobStatus.FAILED]
        assert await room.thumbs() == []


async def test_buttons_of_an_unknown_answer_or_an_older_version_say_so(room: DiscordRoom):
    answer = await answered(room)
    for button in answer.buttons:
        button["custom_id"] = button["custom_id"].rpartition(":")[0] + ":chatcmpl-" + "0" * 32
    assert await told(await room.ann.presses(answer, UP)) == UNKNOWN
    assert await told(await room.ann.presses(answer, DELETE)) == endings.UNKNOWN
    answer.buttons[0]["custom_id"] = "reply:applaud:" + "0" * 32
    assert "earlier version" in await told(await room.ann.presses(answer, UP))


async def test_who_asked_stops_an_answer_and_keeps_what_was_written(room: DiscordRoom):
    answer = await shown_running(room)
    await room.ann.presses(answer, STOP)
    await room.channel.wait_for(lambda _: "(stopped)" in answer.content)
    await room.channel.wait_for(lambda _: faces(answer) == [AGAIN, DELETE])
    [exchange] = await room.exchanges()
    assert exchange.status == JobStatus.CANCELLED
    assert answer.content.splitlines()[1] == "[codebeard@1] one"


async def test_strangers_neither_stop_nor_delete_but_moderators_do(room: DiscordRoom):
    ben, mod = room.fake.add_person("ben"), room.fake.add_person("mod")
    room.channel.guild.grant(mod, "manage_messages")
    answer = await shown_running(room)
    assert await told(await ben.presses(answer, STOP)) == endings.NOT_YOURS.format(do="stop")
    await mod.presses(answer, STOP)
    await room.channel.wait_for(lambda _: DELETE in faces(answer))
    assert await told(await ben.presses(answer, DELETE)) == endings.NOT_YOURS.format(do="delete")
    assert not answer.deleted
    await mod.presses(answer, DELETE)
    await room.fake.wait_for(lambda: answer.deleted)


async def test_stopping_what_has_ended_says_so_and_mends_the_row(room: DiscordRoom):
    answer = await answered(room)
    [exchange] = await room.exchanges()
    answer.buttons[0]["custom_id"] = f"reply:stop:{exchange.id}"
    assert await told(await room.ann.presses(answer, UP)) == endings.HAS_ENDED
    await room.channel.wait_for(lambda _: answer.buttons[0]["custom_id"] == f"reply:up:{exchange.id}")


async def test_deleting_takes_every_page_and_what_was_kept_of_the_answer(wordy_room: DiscordRoom):
    room = wordy_room
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
    answer = await answered(room, LONG)
    await told(await room.ann.presses(answer, UP))
    [exchange] = await room.exchanges()
    assert exchange.reply is not None
    await room.ann.presses(answer, DELETE)
    await room.channel.wait_for(lambda _: room.channel.from_bot == [])

    async def is_forgotten() -> bool:
        return (await room.exchanges())[0].reply is None and not await room.pages(exchange)

    await room.until(is_forgotten)
    assert await room.marks() == {room.ann: True}  # a judgement holds no words


async def test_a_webhooks_answer_can_be_judged_and_deleted(room: DiscordRoom):
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", identity="webhook")
    answer = await answered(room)
    assert answer.webhook is not None
    await told(await room.ann.presses(answer, UP))
    assert await room.marks() == {room.ann: True}
    await room.ann.presses(answer, DELETE)
    await room.fake.wait_for(lambda: answer.deleted)


async def test_an_answer_for_one_person_alone_can_be_judged_and_deleted(room: DiscordRoom):
    await room.fake.wait_for(lambda: room.fake.application.registered(None))
    asked = await room.ann.uses("ask", room.channel, question="good morning", private=True)
    answer = await asked.wait_reply()
    await room.fake.wait_for(lambda: DELETE in faces(answer))
    await told(await room.ann.presses(answer, UP))
    assert await room.marks() == {room.ann: True}
    await room.ann.presses(answer, DELETE)
    await room.fake.wait_for(lambda: answer.deleted)


async def test_a_direct_message_is_judged_and_deleted_by_who_asked(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    question = await room.ann.says(dm, "are you there")
    answer = await last_page_in(room, question)
    await told(await room.ann.presses(answer, UP))
    assert await room.marks() == {room.ann: True}
    await room.ann.presses(answer, DELETE)
    await room.fake.wait_for(lambda: answer.deleted)
    key = message_key(dm.id, answer.id)

    async def is_forgotten() -> bool:
        async with room.service.store.write() as session:
            return await exchanges.find_by_delivery(session, "discord", key) is None

    await room.until(is_forgotten)


async def last_page_in(room: DiscordRoom, question: Message) -> Message:
    exchange = await room.ended(question)
    page = (await room.pages(exchange))[-1]
    await question.channel.wait_for(lambda _: DELETE in faces(page))
    return page
