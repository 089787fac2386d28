"""Other answers and better ones on the playground, through the page's own events."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from core.queue.jobs import JobStatus
from core.store import data_rights
from core.store.corrections import MAX_CHARS
from core.store.models import Correction, Exchange, Preference
from tests.running.playground_page import Page, open_page
from tests.running.serving import LiveServer


@pytest.fixture
async def page(live_server: LiveServer):
    async with live_server.http() as http:
        assert (await http.get("/")).status_code == 200
        yield await open_page(http)


async def ask(page: Page, text: str, persona: str = "zen") -> None:
    _, output, said = await page.call("_send", text, None, persona, "")
    assert output is not None, said


async def press(page: Page, event: str, *data, **options) -> list[str]:
    """What the page says of it."""
    toasts, output, said = await page.call(event, None, *data, **options)
    assert output is not None, said
    return toasts


async def dislike(page: Page, place: int = 1) -> list[str]:
    return await press(page, "_judge", event_data={"index": place, "value": "", "liked": False})


async def rows(server: LiveServer, table) -> list:
    async with server.service.store.read() as session:
        return list(await session.scalars(select(table)))


async def test_another_answer_is_by_whoever_gave_the_former_one_and_the_talk_goes_on_from_what_is_shown(
    live_server, page
):
    await ask(page, "hello")
    await press(page, "_choose", "codebeard", "")
    await press(page, "_send_again")
    first, second = await live_server.exchanges()
    assert (second.variant_of, second.model, second.prompt) == (first.id, "zen", first.prompt)
    assert second.conversation_id == first.conversation_id
    async with live_server.service.store.write() as session:  # the engine here says the same again
        await session.execute(update(Exchange).where(Exchange.id == first.id).values(reply="other words"))
    await press(page, "_go_back")
    await ask(page, "and now?", "codebeard")
    third = (await live_server.exchanges())[-1]
    assert third.model == "codebeard"
    assert [turn["content"] for turn in third.prompt] == ["hello", "other words", "and now?"]


async def test_the_answer_that_is_shown_can_be_preferred_to_all_others(live_server, page):
    await ask(page, "hello")
    assert "no other finished answer" in (await press(page, "_pick"))[0]
    await press(page, "_send_again")
    await press(page, "_send_again")
    await press(page, "_go_back")
    assert "of the 3 answers" in (await press(page, "_pick"))[0]
    first, second, third = [one.id for one in await live_server.exchanges()]
    pairs = {(pair.chosen_id, pair.rejected_id, pair.source) for pair in await rows(live_server, Preference)}
    assert pairs == {(second, first, "playground"), (second, third, "playground")}


async def test_another_answer_that_is_stopped_before_its_first_word_leaves_the_former_one(live_server, page):
    await ask(page, "hello")
    live_server.echo.gate.close()
    writing = asyncio.create_task(press(page, "_send_again"))
    await live_server.echo.gate.wait_until_held()
    await live_server.service.queue.cancel((await live_server.exchanges())[-1].id)
    await writing
    live_server.echo.gate.open()
    first, second = await live_server.exchanges()
    assert second.status == JobStatus.CANCELLED
    await dislike(page)
    assert [thumb.exchange_id for thumb in await live_server.thumbs()] == [first.id]


async def test_nothing_is_written_anew_or_chosen_before_anything_was_asked(page):
    assert "ask something first" in (await press(page, "_send_again"))[0]
    assert "ask something first" in (await press(page, "_pick"))[0]
    assert "ask something first" in (await press(page, "_go_on"))[0]


async def test_an_answer_whose_words_were_erased_is_not_shown_again(live_server, page):
    await ask(page, "hello")
    await press(page, "_send_again")
    async with live_server.service.store.write() as session:
        await data_rights.purge(session, before=2**40)
    assert "not kept any more" in (await press(page, "_go_back"))[0]


async def test_after_a_thumb_down_a_better_answer_is_kept_for_that_reply(live_server, page):
    await ask(page, "hello")
    await ask(page, "and now?")
    await dislike(page, 1)
    assert "Noted" in (await press(page, "_write_better", "  Good morning!\nHow are you? "))[0]
    [better] = await rows(live_server, Correction)
    first, _ = await live_server.exchanges()
    assert (better.exchange_id, better.text) == (first.id, "Good morning!\nHow are you?")
    assert (better.user_id, better.source) == (first.user_id, "playground")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (" ", "empty"),
        ("x" * (MAX_CHARS + 1), f"at most {MAX_CHARS}"),
        ("a \ud800", "broken character at position 2"),
        ("a \x00", "NUL character"),
        (5, "empty"),
    ],
)
async def test_a_better_answer_that_cannot_be_kept_is_refused_and_can_be_sent_again(live_server, page, text, part):
    await ask(page, "hello")
    await dislike(page)
    assert part in (await press(page, "_write_better", text))[0]
    await press(page, "_write_better", "Good morning!")
    assert [better.text for better in await rows(live_server, Correction)] == ["Good morning!"]


async def test_without_a_thumb_down_no_better_answer_is_taken(live_server, page):
    await ask(page, "hello")
    assert "Press 👎" in (await press(page, "_write_better", "Good morning!"))[0]
    await dislike(page)
    await ask(page, "something else")
    assert "Press 👎" in (await press(page, "_write_better", "Good morning!"))[0]
    assert await rows(live_server, Correction) == []
