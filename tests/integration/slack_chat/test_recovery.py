"""What a crash or a lost answer left on Slack, and what becomes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from bot.chat import calls, mending
from bot.chat.buttons import ReplyButtons
from bot.chat.recovery import MAY_BE_CUT_OFF
from bot.slack_chat.buttons import blocks_of
from core.store import consent, places
from core.store.models import Delivery, Exchange
from tests.fakes.fake_slack.messages import Message
from tests.slack.rooms import SlackRoom, connected, slack_room

CRASHED = "The program ended before this reply was finished; send the message again."
WORDS = "one two three"
WHOLE = f"[codebeard@1] {WORDS}"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0, 0.0))


async def left(room: SlackRoom, question: Message, **ledger: str | None) -> list[Message]:
    """Leave the answer as `kill -9` does: still streaming, its messages noted as waiting for their end."""
    exchange = await room.ended(question)
    pages = await room.pages(exchange)
    await room.chat.close()
    for page in pages:
        page.blocks, page.markdown, page.text = [], page.text, ""
    pages[-1].is_streaming, pages[-1].stream_ends_at = True, room.fake.world.clock.added + 60
    async with room.service.store.write() as session:
        if ledger:
            await session.execute(update(Exchange).where(Exchange.id == exchange.id).values(**ledger))
        await session.execute(update(Delivery).values(is_final=False))
    return pages


async def all_is_final(room: SlackRoom) -> bool:
    async with room.service.store.read() as session:
        return all(await session.scalars(select(Delivery.is_final)))


async def test_a_reply_that_a_crash_cut_off_becomes_a_sentence(room: SlackRoom):
    question = await room.asks(WORDS)
    [page] = await left(room, question, status="failed", error=CRASHED)
    async with connected(room.fake, room.service) as room.chat:
        await room.until(lambda: all_is_final(room))
    assert page.content.startswith(CRASHED) and not page.is_streaming
    assert "🔄" in page.buttons and "👍" not in page.buttons
    assert room.channel.from_bot == [page]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_message_that_was_posted_but_not_noted_is_found_again(room: SlackRoom, is_streamed: bool):
    question = await room.asks(WORDS)
    await room.ended(question)
    await room.asks("", in_=question)  # what else the bot says there is none of its answers
    greeting = await room.channel.wait_for(lambda _: (room.channel.from_bot[1:] or [None])[0])
    [page] = await left(room, question, status="failed", error=CRASHED)
    if not is_streamed:
        page.is_streaming, page.blocks = False, blocks_of(ReplyButtons((await room.exchanges())[0].id, is_running=True))
    async with room.service.store.write() as session:
        await session.execute(delete(Delivery))
    said = greeting.content
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: page.content.startswith(CRASHED) and "🔄" in page.buttons)
        await room.until(lambda: all_is_final(room))
    assert room.channel.from_bot == [page, greeting] and greeting.content == said


async def test_the_further_pages_of_a_reply_that_was_cut_off_go(tmp_path: Path):
    async with slack_room(tmp_path, max_new_tokens=2000) as room:
        room.fake.deletes_customized = True
        long = " ".join(f"{'word' * 12}{number}" for number in range(80))
        first, second = await left(room, await room.asks(long), status="failed", error=CRASHED)
        async with connected(room.fake, room.service) as room.chat:
            await room.until(lambda: all_is_final(room))
        assert first.content.startswith(CRASHED) and second.is_deleted


async def test_a_kept_reply_that_was_not_shown_to_its_end_is_shown_whole(room: SlackRoom):
    async with room.service.store.write() as session:
        await consent.give(session, f"slack:{room.ann.id}", source="slack")
        await places.change(session, f"slack:channel:{room.channel.id}", source="slack", is_text_kept=True)
    [page] = await left(room, await room.asks(WORDS))
    page.markdown = "[codebeard@1] one"
    async with connected(room.fake, room.service) as room.chat:
        await room.until(lambda: all_is_final(room))
    assert WHOLE in page.content and "👍" in page.buttons


async def test_words_that_are_not_kept_stand_with_a_warning_where_the_last_may_be_missing(room: SlackRoom):
    [page] = await left(room, await room.asks(WORDS))
    page.markdown = "[codebeard@1] one"
    room.chat.parts.chat.memory.forget((await room.exchanges())[0].id)
    for _ in range(2):  # the first start may end before it can note what it did
        async with room.service.store.write() as session:
            await session.execute(update(Delivery).values(is_final=False))
        async with connected(room.fake, room.service) as room.chat:
            await room.until(lambda: all_is_final(room))
    assert page.content.count("[codebeard@1] one") == page.content.count(MAY_BE_CUT_OFF) == 1


async def test_words_that_are_not_kept_are_left_alone_where_they_have_ended(room: SlackRoom):
    page = await room.ask_and_answer(WORDS)
    await room.fake.wait_for(lambda: page.buttons)
    await room.chat.close()
    async with room.service.store.write() as session:  # the note of the end was lost with the program
        await session.execute(update(Delivery).values(is_final=False))
    versions = len(page.versions)
    async with connected(room.fake, room.service) as room.chat:
        await room.until(lambda: all_is_final(room))
    assert page.content == WHOLE and len(page.versions) == versions
    assert page.name == "Captain Codebeard"


async def test_what_is_gone_does_not_stop_the_start(room: SlackRoom):
    other = room.fake.add_channel("other")
    await left(room, await room.asks("hello", in_=other), status="failed", error=CRASHED)
    other.delete()
    async with connected(room.fake, room.service) as room.chat:
        assert "still there" in (await room.ask_and_answer("still there")).content
        await room.until(lambda: all_is_final(room))


async def test_a_reply_whose_end_slack_was_out_of_reach_for_is_shown_whole_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mending, "AGAIN_AFTER_S", 0.05)
    async with slack_room(tmp_path) as room:
        room.gate.close()
        question = await room.asks(WORDS)
        room.gate.let_through(2)
        page = await room.channel.wait_for(
            lambda _: next((one for one in room.channel.from_bot if "one" in one.content), None)
        )
        fault = room.fake.faults.cut("chat.*", times=1000)
        room.gate.open()
        await room.ended(question)
        assert fault.hits and WHOLE not in page.content
        room.fake.faults.clear()
        await room.channel.wait_for(lambda _: WHOLE in page.content and "👍" in page.buttons)
        await room.until(lambda: all_is_final(room))
        assert room.channel.from_bot == [page]


# answers that are lost: what they were about has happened


@pytest.mark.parametrize("method", ["chat.startStream", "chat.postMessage"])
async def test_a_message_whose_answer_is_lost_is_not_posted_twice(room: SlackRoom, method: str):
    if method == "chat.postMessage":
        room.fake.faults.refuse("chat.startStream", "channel_type_not_supported", times=100)
    await room.ask_and_answer(WORDS)  # in another thread: its message is not taken for the lost one
    fault = room.fake.faults.lose_answer(method)
    question = await room.asks(WORDS)
    answer = await room.answer(question)
    await room.fake.wait_for(lambda: answer.buttons)
    assert fault.hits == 1
    assert [one for one in room.channel.thread(question) if one.author is room.fake.bot] == [answer]
    assert WHOLE in answer.content and not answer.is_streaming


async def test_the_same_word_said_twice_in_a_thread_is_posted_twice_although_an_answer_is_cut(room: SlackRoom):
    question = await room.asks(WORDS)
    first = await room.answer(question)
    room.fake.faults.cut("chat.startStream")  # nothing was done, so it must be done
    second = await room.answer(await room.ann.says(question, WORDS))
    assert first is not second and WHOLE in second.content


async def test_a_socket_that_drops_while_nobody_answers_loses_nothing(room: SlackRoom):
    room.gate.close()
    questions = [await room.asks(f"question {number}") for number in range(3)]
    await room.fake.socket.drop()
    await room.fake.socket.wait_connected(2)
    room.gate.open()
    answers = await asyncio.gather(*(room.answer(question) for question in questions))
    assert [one.content.removeprefix("[codebeard@1] ") for one in answers] == ["question 0", "question 1", "question 2"]
