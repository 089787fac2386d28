"""People ask for other answers, choose between them and write better ones: a real Chromium, a real server."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import select

from core.store.models import Correction, Exchange, Preference
from tests.running.serving import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PHONE = {"width": 360, "height": 740}


async def say(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Message")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await box.fill(text)
    await box.press("Enter")
    await expect(again(page)).to_be_visible()


def again(page: Page):
    return page.get_by_role("button", name="Another answer")


def liked(page: Page):
    return page.get_by_role("button", name="Liked", exact=True)


async def answers(server: LiveServer, text: str) -> list[Exchange]:
    """Everything that answers this question, the oldest first."""
    return [one for one in await server.exchanges(source="playground") if one.prompt[-1]["content"] == text]


async def rows(server: LiveServer, table) -> list:
    async with server.service.store.read() as session:
        return list(await session.scalars(select(table)))


async def test_answers_are_written_anew_paged_through_and_chosen_between(page, server):
    await expect(again(page)).to_have_count(0)
    await say(page, "choose one")
    await expect(page.get_by_role("button", name="This one is better")).to_have_count(0)
    await page.get_by_role("button", name="Like", exact=True).click()
    await expect(liked(page)).to_be_visible()

    await again(page).click()
    await expect(page.get_by_text("2/2")).to_be_visible()
    await expect(liked(page)).to_have_count(0)  # the thumb was for the other one
    await again(page).click()
    await expect(page.get_by_text("3/3")).to_be_visible()
    await expect(page.get_by_role("button", name="▶")).to_be_disabled()
    await page.get_by_role("button", name="◀").click()
    await expect(page.get_by_text("2/3")).to_be_visible()
    await page.get_by_role("button", name="◀").click()
    await expect(page.get_by_text("1/3")).to_be_visible()
    await expect(liked(page)).to_be_visible()
    await page.get_by_role("button", name="▶").click()
    await expect(page.get_by_text("2/3")).to_be_visible()
    await page.get_by_role("button", name="This one is better").click()
    await expect(page.get_by_text("of the 3 answers to this question, you like this one best")).to_be_visible()

    first, second, third = [one.id for one in await answers(server, "choose one")]
    pairs = {(pair.chosen_id, pair.rejected_id) for pair in await rows(server, Preference)}
    assert pairs == {(second, first), (second, third)}
    assert [(thumb.exchange_id, thumb.label) for thumb in await server.thumbs()] == [(first, True)]
    await expect(page.get_by_test_id("bot")).to_have_count(1)

    await page.get_by_role("button", name="Clear").click()
    await expect(again(page)).to_have_count(0)
    await say(page, "a new talk")
    await expect(liked(page)).to_have_count(0)


async def test_another_answer_can_be_stopped(page, server):
    await say(page, "take your time")
    server.echo.gate.close()
    await again(page).click()
    await expect(again(page)).to_have_count(0)
    await server.echo.gate.wait_until_held()
    server.echo.gate.let_through(2)  # a stop before its first word leaves the answer that was there
    await expect(page.get_by_text("[codebeard@1]", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("2/2")).to_be_visible()
    assert [one.status for one in await answers(server, "take your time")] == ["succeeded", "cancelled"]


async def test_on_a_phone_a_better_answer_is_written_after_a_thumb_down(browser, server):
    context = await browser.new_context(viewport=PHONE)
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.get_by_text("adapter codebeard@1")).to_be_visible()
    better = page.get_by_role("textbox", name="What should it have said instead?")
    await say(page, "what is a mutex")
    await again(page).click()
    await expect(page.get_by_text("2/2")).to_be_visible()
    await expect(better).to_have_count(0)
    await page.get_by_role("button", name="Dislike").click()
    await better.fill("A lock.")
    for part in ("#answers", "#answers button:last-of-type", "#best", "#better", "#message"):
        box = await page.locator(part).last.bounding_box()
        assert box is not None, part
        assert (box["x"] >= 0, box["x"] + box["width"] <= PHONE["width"]) == (True, True), part
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await better.press("Enter")
    await expect(page.get_by_text("Noted, thank you.")).to_be_visible()
    await expect(better).to_have_count(0)

    _, second = await answers(server, "what is a mutex")
    [written] = await rows(server, Correction)
    assert (written.exchange_id, written.user_id, written.text) == (second.id, second.user_id, "A lock.")
    await context.close()
