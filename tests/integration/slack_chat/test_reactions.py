"""Thumbs as reactions to replies: whoever's name stands on them and however old they are."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.rooms import SlackRoom, process_in


async def test_a_thumb_counts_for_the_version_that_answered(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    await room.ann.reacts(answer, "👍")
    await room.marks_are(ann=True)
    [thumb], [exchange] = await room.thumbs(), await room.exchanges()
    assert thumb.exchange_id == exchange.id and thumb.source == "slack:reaction"


async def test_slack_need_not_say_whose_message_it_is(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    assert answer.is_customized  # so the event has no item_user
    await room.ann.reacts(answer, "-1::skin-tone-3")
    await room.marks_are(ann=False)


async def test_the_latest_thumb_counts_and_a_removed_one_no_more(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    await room.ann.reacts(answer, "👍")
    await room.marks_are(ann=True)
    await room.ann.reacts(answer, "👎")
    await room.marks_are(ann=False)
    await room.ann.unreacts(answer, "👎")
    await room.marks_are(ann=True)  # the other one still stands
    await room.ann.unreacts(answer, "👍")
    await room.marks_are()


async def test_other_emoji_and_bots_do_not_judge(room: SlackRoom):
    other = room.fake.add_person("other", is_bot=True)
    answer = await room.ask_and_answer("hello")
    await other.reacts(answer, "👍")
    await room.ann.reacts(answer, "heart")
    bob = room.fake.add_person("bob")
    await bob.reacts(answer, "👎")
    await room.marks_are(bob=False)


async def test_a_button_and_a_reaction_of_one_person_count_once(room: SlackRoom):
    answer = await room.ask_and_answer("hello")
    await room.fake.wait_for(lambda: answer.buttons)
    await room.presses(answer, "👎")
    await room.marks_are(ann=False)
    await room.ann.reacts(answer, "👍")
    await room.marks_are(ann=True)
    assert len(await room.thumbs()) == 1


async def test_a_thumb_that_was_given_while_the_bot_was_away_counts_after_the_start(tmp_path: Path):
    async with FakeSlack() as fake:
        channel, ann = fake.add_channel("general"), fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            answer = await room.ask_and_answer("hello")
        await ann.reacts(answer, "👍")
        async with process_in(tmp_path, fake, channel, ann) as room:
            await room.marks_are(ann=True)


async def test_a_thumb_counts_under_whichever_message_of_a_long_answer(room: SlackRoom):
    bob = room.fake.add_person("bob")
    long = " ".join(f"{'word' * 12}{number}" for number in range(80))
    exchange = await room.ended(await room.asks(long))
    first, *_, last = await room.pages(exchange)
    await room.ann.reacts(last, "👍")
    await bob.reacts(first, "👎")
    await room.marks_are(ann=True, bob=False)
    assert {thumb.exchange_id for thumb in await room.thumbs()} == {exchange.id}
    await room.ann.unreacts(last, "👍")
    await room.marks_are(bob=False)


async def test_a_thumb_counts_under_a_message_that_goes_on_below_one_that_takes_no_change(room: SlackRoom):
    room.fake.faults.refuse("chat.update", "edit_window_closed", times=1)
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda _: any("one" in one.content for one in room.channel.from_bot))
    room.fake.pass_time(300)
    room.gate.open()
    await room.ended(question)
    _, further = [one for one in room.channel.thread(question) if one.author is room.fake.bot]
    await room.ann.reacts(further, "👍")
    await room.marks_are(ann=True)
