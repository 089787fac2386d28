"""What becomes of answers when questions are edited or deleted, and of text when channels are left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.chat import mending
from core.errors import StoreUnavailable
from core.store import consent, places
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.rooms import SlackRoom, process_in, slack_room


async def agree(room: SlackRoom) -> None:
    """Let text be kept: ann agrees, and so does her workspace."""
    async with room.service.store.write() as session:
        await consent.give(session, f"slack:{room.ann.id}", source="slack")
        workspace = f"slack:workspace:{room.fake.world.team_id}"
        await places.change(session, workspace, source="slack", is_text_kept=True)


async def half_written(room: SlackRoom) -> tuple[Message, Message]:
    """A question, and its answer of which two words are shown."""
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    return question, await room.channel.wait_for(
        lambda _: next((one for one in room.channel.from_bot if "one" in one.content), None)
    )


async def nothing_kept(room: SlackRoom) -> bool:
    return all((one.prompt, one.reply) == (None, None) for one in await room.exchanges())


async def test_an_edited_question_is_answered_again_in_the_same_message(room: SlackRoom):
    question = await room.asks("what is a mutx")
    answer = await room.answer(question)
    await room.ann.edits(question, f"{room.fake.bot.mention} what is a mutex")
    again = await room.ended(question, count=2)
    assert "[codebeard@1] what is a mutex" in answer.content and "mutx" not in answer.content
    assert room.channel.from_bot == await room.pages(again) == [answer]


async def test_an_edit_in_mid_reply_stops_it_and_answers_the_new_question(room: SlackRoom):
    question, answer = await half_written(room)
    await room.ann.edits(question, f"{room.fake.bot.mention} four five")
    await room.fake.wait_for(lambda: "(stopped)" in answer.content)
    room.gate.open()
    await room.ended(question, count=2)
    assert "[codebeard@1] four five" in answer.content
    assert room.channel.from_bot == [answer]
    assert [one.status for one in await room.exchanges()] == ["cancelled", "succeeded"]


async def test_a_link_that_slack_unfolds_is_no_edit(room: SlackRoom):
    question = await room.asks("look at https://example.org")
    await room.answer(question)
    room.fake.unfurl(question)
    await room.ask_and_answer("anything else")
    assert len(await room.exchanges()) == 2


@pytest.mark.parametrize("slack_lets_it_go", [True, False])
async def test_a_deleted_question_takes_its_answer_and_their_text_with_it(room: SlackRoom, slack_lets_it_go: bool):
    room.fake.deletes_customized = slack_lets_it_go
    await agree(room)
    question = await room.asks("my secret")
    answer = await room.answer(question)
    await room.ann.deletes(question)
    await room.fake.wait_for(lambda: answer.is_deleted or "was removed" in answer.content)
    assert answer.is_deleted == slack_lets_it_go and "secret" not in answer.content * (not slack_lets_it_go)
    await room.until(lambda: nothing_kept(room))
    [exchange] = await room.exchanges()
    assert exchange.status == "succeeded" and await room.pages(exchange) == []


async def test_a_question_deleted_in_mid_reply_stops_it(room: SlackRoom):
    question, answer = await half_written(room)
    await room.ann.deletes(question)
    await room.fake.wait_for(lambda: answer.is_deleted or "was removed" in answer.content)
    room.gate.open()
    [exchange] = await room.exchanges()
    assert exchange.status == "cancelled"


async def test_an_answer_that_somebody_deletes_is_forgotten(room: SlackRoom):
    await agree(room)
    mod = room.fake.add_person("mod", is_admin=True)
    answer = await room.ask_and_answer("something rude")
    assert not await nothing_kept(room)
    await mod.deletes(answer)
    await room.until(lambda: nothing_kept(room))


async def test_words_are_forgotten_wherever_a_deleted_message_is_quoted(room: SlackRoom):
    await agree(room)
    question = await room.asks("my secret")
    await room.answer(question)
    secret = await room.ann.says(question, "and this")
    await room.answer(secret)
    await room.answer(await room.ann.says(question, "go on"))
    await room.ann.deletes(secret)

    async def is_forgotten() -> bool:
        return ["and this" in str(one.prompt) for one in await room.exchanges()] == [False] * 3

    await room.until(is_forgotten)
    first = (await room.exchanges())[0]
    assert "my secret" in str(first.prompt)


async def test_what_is_deleted_while_the_bot_is_away_is_forgotten_after_the_start(tmp_path: Path):
    async with FakeSlack() as fake:
        channel, ann = fake.add_channel("general"), fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            await agree(room)
            question = await room.asks("my secret")
            await room.answer(question)
            await room.ask_and_answer("no secret")
        await ann.deletes(question)
        fake.socket.give_up()
        async with process_in(tmp_path, fake, channel, ann) as room:

            async def is_forgotten() -> bool:
                return [bool(one.prompt) for one in await room.exchanges()] == [False, True]

            await room.until(is_forgotten)


@pytest.mark.parametrize("how", ["expelled", "deleted"])
async def test_a_channel_that_the_bot_leaves_takes_its_text_with_it(room: SlackRoom, how: str):
    await agree(room)
    await room.ask_and_answer("my secret")
    elsewhere = room.fake.add_channel("elsewhere")
    await room.ask_and_answer("no secret", in_=elsewhere)
    if how == "expelled":
        room.channel.remove_bot()
    else:
        room.channel.delete()

    async def is_forgotten() -> bool:
        return [one.prompt is None and one.reply is None for one in await room.exchanges()] == [True, False]

    await room.until(is_forgotten)


async def test_a_channel_that_is_left_while_the_store_is_out_of_order_is_forgotten_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mending, "AGAIN_AFTER_S", 0.05)
    look_up, outages = places.with_something_kept_inside, iter(range(3))

    async def look_up_later(*arguments: Any, **named: Any) -> Any:
        if next(outages, None) is not None:
            raise StoreUnavailable("The database is locked.")
        return await look_up(*arguments, **named)

    async with slack_room(tmp_path) as room:
        await agree(room)
        await room.ask_and_answer("my secret")
        monkeypatch.setattr(places, "with_something_kept_inside", look_up_later)
        room.channel.remove_bot()
        await room.until(lambda: nothing_kept(room))


async def test_a_workspace_that_removes_the_bot_is_forgotten_with_what_it_chose(room: SlackRoom):
    await agree(room)
    await room.ask_and_answer("my secret")
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "another"))
    assert not await nothing_kept(room)
    room.fake.uninstall()
    await room.until(lambda: nothing_kept(room))

    async def has_no_choice() -> bool:
        async with room.service.store.read() as session:
            workspace = f"slack:workspace:{room.fake.world.team_id}"
            return not (await places.settings_of(session, workspace)).is_text_kept

    await room.until(has_no_choice)
