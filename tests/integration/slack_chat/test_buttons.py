"""The buttons under a reply: thumbs, another answer, the way back, better answers, the bin."""

from __future__ import annotations

from sqlalchemy import select

from core.store.models import Correction, Preference
from tests.fakes.fake_slack.messages import Message
from tests.slack.rooms import SlackRoom


async def answered(room: SlackRoom, text: str = "hello") -> Message:
    """An answer with its buttons."""
    answer = await room.ask_and_answer(text)
    await room.fake.wait_for(lambda: answer.buttons)
    return answer


async def rows(room: SlackRoom, table: type) -> list:
    async with room.service.store.read() as session:
        return list(await session.scalars(select(table)))


async def again(room: SlackRoom, answer: Message, count: int) -> None:
    """Another answer in the same message, once it has its buttons."""
    await room.presses(answer, "🔄")
    await room.fake.wait_for(lambda: f"{count}/{count}" in answer.buttons)


async def allow_text(room: SlackRoom) -> None:
    """Ann agrees that her words are kept, and so does the workspace."""
    admin = room.fake.add_person("boss", is_admin=True)
    await room.uses("settings", "keep_text:on workspace", who=admin)
    card = await room.uses("consent")
    await room.presses(card, "Yes, keep my words")
    await room.fake.wait_for(lambda: "You have said **yes**" in card.content)


async def test_a_finished_answer_has_thumbs_another_try_and_a_bin(room: SlackRoom):
    answer = await answered(room)
    assert answer.buttons == ["👍", "👎", "trash", "🔄"]


async def test_a_pressed_thumb_counts_and_is_taken_back(room: SlackRoom):
    answer = await answered(room)
    pressed = await room.ann.presses(answer, "👍")
    thanks = await pressed.wait_reply()
    assert thanks.only_for is room.ann
    await room.marks_are(ann=True)
    await room.ann.presses(thanks, "Take it back")
    await room.marks_are()


async def test_another_answer_takes_the_place_of_the_former_and_both_can_be_seen(room: SlackRoom):
    answer = await answered(room)
    await again(room, answer, 2)
    assert len(await room.exchanges()) == 2
    await room.presses(answer, "◀")
    await room.fake.wait_for(lambda: "1/2" in answer.buttons)
    assert "[codebeard@1] hello" in answer.content
    await room.presses(answer, "▶")
    await room.fake.wait_for(lambda: "2/2" in answer.buttons)


async def test_the_picked_variant_makes_a_preference_pair(room: SlackRoom):
    answer = await answered(room)
    await again(room, answer, 2)
    pressed = await room.ann.presses(answer, "Best")
    assert "like this one best" in (await pressed.wait_reply()).content
    first, second = await room.exchanges()
    [pair] = await rows(room, Preference)
    assert (pair.chosen_id, pair.rejected_id) == (second.id, first.id)


async def test_an_answer_is_named_where_slack_shows_the_bots_own_name(room: SlackRoom):
    answer = await answered(room)
    await again(room, answer, 2)
    assert answer.name == room.fake.bot.name
    assert "Captain Codebeard" in answer.content


async def test_a_better_answer_is_kept_where_everybody_agrees(room: SlackRoom):
    await allow_text(room)
    answer = await answered(room)
    pressed = await room.ann.presses(answer, "👎")
    form = await room.opens_form(await pressed.wait_reply(), "Write a better answer")
    sent = await room.ann.submits(form, better="Ahoy, matey!")
    await sent.wait_acknowledged()

    async def is_kept() -> bool:
        return bool(await rows(room, Correction))

    await room.until(is_kept)
    [better] = await rows(room, Correction)
    assert better.text == "Ahoy, matey!"


async def test_without_consent_a_better_answer_is_not_even_asked_for(room: SlackRoom):
    answer = await answered(room)
    said = await (await room.ann.presses(answer, "👎")).wait_reply()
    assert "/consent" in said.content
    assert said.buttons == ["Take it back"]


async def test_the_bin_takes_an_answer_away_as_far_as_slack_lets_it(room: SlackRoom):
    answer = await answered(room)
    await room.presses(answer, "trash")
    await room.fake.wait_for(lambda: "was removed" in answer.content)
    assert "hello" not in answer.content
    assert not answer.buttons


async def test_the_bin_deletes_where_slack_lets_it(room: SlackRoom):
    room.fake.deletes_customized = True
    answer = await answered(room)
    await room.presses(answer, "trash")
    await room.fake.wait_for(lambda: answer.is_deleted)


async def test_somebody_else_may_not_delete_an_answer(room: SlackRoom):
    bob = room.fake.add_person("bob")
    answer = await answered(room)
    pressed = await bob.presses(answer, "trash")
    assert "Only who asked" in (await pressed.wait_reply()).content
    assert not answer.is_deleted and answer.content == "[codebeard@1] hello"


async def test_who_manages_the_workspace_may_delete_any_answer_with_its_variants(room: SlackRoom):
    await allow_text(room)
    answer = await answered(room)
    await again(room, answer, 2)
    assert all(one.reply for one in await room.exchanges())
    await room.presses(answer, "trash", who=room.fake.add_person("chief", is_admin=True))
    await room.fake.wait_for(lambda: answer.is_deleted)  # which was changed, and so stands under the bot's own name

    async def are_forgotten() -> bool:
        return not any(one.reply for one in await room.exchanges())

    await room.until(are_forgotten)


async def test_a_press_is_acknowledged_while_the_model_is_busy(room: SlackRoom):
    answer = await answered(room)
    room.gate.close()
    pressed = await room.ann.presses(answer, "🔄")
    await pressed.wait_acknowledged()
    room.gate.open()
    await room.fake.wait_for(lambda: "2/2" in answer.buttons)
