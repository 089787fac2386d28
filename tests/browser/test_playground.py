"""People use the playground: a real Chromium, a real server, and rows in a real SQLite file."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from core.engine.echo_engine import EchoEngine
from core.store import places
from tests.running.serving import LiveServer, echo_server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def box(page: Page):
    return page.get_by_role("textbox", name="Message")


def replies(page: Page):
    return page.get_by_test_id("bot")


async def say(page: Page, text: str) -> None:
    """As a person does: the button tells when the page takes a message."""
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await box(page).fill(text)
    await box(page).press("Enter")


async def choose(page: Page, name: str) -> None:
    await page.locator("#picker label", has_text=name).click()
    await expect(page.get_by_role("radio", name=name)).to_be_checked()


async def asked(server: LiveServer, text: str):
    """The exchange whose question this is."""
    return next(e for e in await server.exchanges(source="playground") if e.prompt[-1]["content"] == text)


async def test_a_message_is_answered_by_the_chosen_personas_adapter(page, server):
    await say(page, "what is a mutex")
    await expect(replies(page).last).to_contain_text("[codebeard@1] what is a mutex")
    await expect(replies(page).last).to_contain_text("Captain Codebeard")
    await expect(box(page)).to_have_value("")

    exchange = await asked(server, "what is a mutex")
    assert (exchange.model, exchange.status) == ("codebeard", "succeeded")
    assert exchange.user_id in exchange.conversation_id


SAID = (
    "  def __init__(self) -> List<String> &amp; $$x^2$$\n    *a* `b` <b>c</b>\n\n\n# d [e](http://f.g)\n[1]: http://h.i"
)


async def test_every_character_that_a_person_wrote_is_shown(page):
    await say(page, SAID)
    shown = page.get_by_test_id("user").last
    await expect(shown).to_contain_text("h.i")
    assert await shown.inner_text() == SAID


async def test_a_reply_is_markdown_without_html_and_formulas(page):
    await say(page, "**bold** List<String> &amp; $$x^2$$ __init__ `List<int>`")
    await expect(replies(page).last).to_contain_text("bold List<String> &amp; $$x^2$$ __init__ List<int>")
    await expect(replies(page).last.locator("strong")).to_have_text("bold")


async def test_the_small_default_model_is_named_as_one(page):
    await expect(page.get_by_text("SmolLM2 is a small model")).to_be_visible()
    await expect(page.get_by_text("PERSONAS_BASE_MODEL=Qwen/Qwen3-4B-Instruct-2507")).to_be_visible()


async def test_a_reply_is_shown_while_it_is_written(page, server):
    server.echo.gate.close()
    await say(page, "one two three")
    server.echo.gate.let_through(2)
    await expect(replies(page).last).to_contain_text("[codebeard@1]")
    await expect(replies(page).last).not_to_contain_text("three")
    server.echo.gate.open()
    await expect(replies(page).last).to_contain_text("one two three")


async def test_switching_the_persona_keeps_the_chat_and_binds_the_conversation(page, server):
    await say(page, "first question")
    await expect(replies(page).last).to_contain_text("[codebeard@1] first question")
    await choose(page, "Master Zen")
    await expect(page.get_by_text("adapter zen@1")).to_be_visible()
    await say(page, "second question")
    await expect(replies(page).last).to_contain_text("[zen@1] second question")
    await expect(replies(page)).to_have_count(2)

    exchange = await asked(server, "second question")
    assert exchange.model == "zen"
    assert exchange.prompt[0]["content"] == "first question"
    async with server.service.store.read() as session:
        assert await places.model_of(session, exchange.conversation_id) == "zen"


async def test_a_thumb_is_a_row_a_second_press_takes_it_back(page, server):
    async def labels() -> list[bool]:
        return [t.label for t in await server.thumbs() if t.exchange_id == (await asked(server, "judge me")).id]

    await say(page, "judge me")
    await expect(replies(page).last).to_contain_text("judge me")
    await page.get_by_role("button", name="Dislike").click()
    await expect(page.get_by_text("Your 👎 is kept.")).to_be_visible()
    assert await labels() == [False]

    await page.get_by_role("button", name="Like", exact=True).click()
    await expect(page.get_by_text("Your 👍 is kept.")).to_be_visible()
    assert await labels() == [True]

    await page.get_by_role("button", name="Liked", exact=True).click()
    await expect(page.get_by_text("Your thumb is taken back.")).to_be_visible()
    assert await labels() == []


async def test_everything_can_be_done_from_the_keyboard(page, server):
    await expect(box(page)).to_be_focused()
    await page.keyboard.type("typed by hand")
    await page.keyboard.press("Enter")
    await expect(replies(page).last).to_contain_text("[codebeard@1] typed by hand")

    await page.get_by_role("radio", name="Captain Codebeard").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(page.get_by_text("adapter zen@1")).to_be_visible()

    await page.get_by_role("button", name="Dislike").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Your 👎 is kept.")).to_be_visible()


async def test_stop_ends_the_reply_and_keeps_what_was_said(page, server):
    server.echo.gate.close()
    await say(page, "count to a hundred")
    server.echo.gate.let_through(2)
    await expect(replies(page).last).to_contain_text("[codebeard@1]")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await expect(replies(page).last).to_contain_text("[codebeard@1] count")
    assert (await asked(server, "count to a hundred")).status == "cancelled"


async def test_what_is_typed_while_a_reply_is_written_stays_in_the_box(page, server):
    server.echo.gate.close()
    await say(page, "first thing")
    await server.echo.gate.wait_until_held()
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await box(page).fill("my next question")
    server.echo.gate.open()
    await expect(replies(page).last).to_contain_text("first thing")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await expect(box(page)).to_have_value("my next question")


async def test_clear_empties_the_chat_and_the_prompt(page, server):
    await say(page, "forget this")
    await expect(replies(page).last).to_contain_text("forget this")
    await page.get_by_role("button", name="Clear").click()
    await expect(replies(page)).to_have_count(0)
    await say(page, "fresh start")
    await expect(replies(page).last).to_contain_text("fresh start")
    assert len((await asked(server, "fresh start")).prompt) == 1


async def test_an_example_question_is_asked_with_one_click(page, server):
    await page.get_by_role("button", name="What is recursion?").click()
    await expect(replies(page).last).to_contain_text("[codebeard@1] What is recursion?")


async def test_a_blend_answers_and_a_bad_one_is_explained(page, server):
    await choose(page, "Blend")
    blend = page.get_by_role("textbox", name="Blend")
    await blend.fill("zen:lots")
    await blend.press("Enter")
    await expect(page.get_by_text("gives zen the weight", exact=False).first).to_be_visible()
    await blend.fill("codebeard:0.5+zen:0.25")
    await blend.press("Enter")
    await say(page, "mixed question")
    await expect(replies(page).last).to_contain_text("[codebeard@1:0.5+zen@1:0.25] mixed question")
    assert (await asked(server, "mixed question")).model == "codebeard:0.5+zen:0.25"


async def test_a_reply_that_fails_is_explained_and_the_question_comes_back(page, server):
    await say(page, "word " * 1000)
    await expect(page.get_by_text("The message is too long").first).to_be_visible()
    await expect(box(page)).to_have_value("word " * 1000)
    await expect(replies(page)).to_have_count(0)
    await say(page, "short one")
    await expect(replies(page).last).to_contain_text("short one")


async def test_half_a_character_is_refused_and_the_page_goes_on(page):
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    typed = "box => {box.value = 'half \\ud800'; box.dispatchEvent(new Event('input', {bubbles: true}))}"
    await box(page).evaluate(typed)
    await box(page).press("Enter")
    await expect(page.get_by_test_id("toast-body")).to_contain_text("broken character at position 5")
    await expect(box(page)).to_have_value("half ?")
    await say(page, "whole again")
    await expect(replies(page).last).to_contain_text("whole again")


async def test_an_enormous_message_is_refused_and_not_cut(page, server):
    await say(page, "x" * 20_001)
    await expect(page.get_by_test_id("toast-body")).to_contain_text("20001 characters long; at most 20000")
    await expect(box(page)).to_have_value("x" * 20_001)
    await expect(replies(page)).to_have_count(0)


async def test_a_page_that_is_closed_cancels_its_reply(browser, server):
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.get_by_text("adapter codebeard@1")).to_be_visible()
    server.echo.gate.close()
    await say(page, "nobody reads this")
    await server.echo.gate.wait_until_held()
    await context.close()
    exchange = await asked(server, "nobody reads this")
    assert (await server.ended(id=exchange.id)).status == "cancelled"


async def test_people_chat_with_different_personas_at_the_same_time(page, browser, server):
    context = await browser.new_context()
    other = await context.new_page()
    await other.goto(server.url)
    await expect(other.get_by_text("adapter codebeard@1")).to_be_visible()
    await choose(other, "Master Zen")
    server.echo.gate.close()
    await asyncio.gather(say(page, "from the first"), say(other, "from the second"))
    await server.echo.gate.wait_until_held(2)
    server.echo.gate.open()
    await expect(replies(page).last).to_contain_text("[codebeard@1] from the first")
    await expect(replies(other).last).to_contain_text("[zen@1] from the second")
    await context.close()


async def test_nothing_is_asked_of_another_host(page, server):
    """Neither by the page itself nor for a picture that a reply names."""
    visits = []
    elsewhere = await asyncio.start_server(lambda _reader, writer: (visits.append(1), writer.close()), "127.0.0.1", 0)
    port = elsewhere.sockets[0].getsockname()[1]
    urls: list[str] = []
    page.on("requestfinished", lambda request: urls.append(request.url))
    await page.reload()
    await say(page, f"look ![picture](http://127.0.0.1:{port}/x.png)")
    await expect(replies(page).last.get_by_role("img", name="picture")).to_have_count(1)
    await page.wait_for_function("() => [...document.images].every(image => image.complete)")
    elsewhere.close()
    await elsewhere.wait_closed()

    assert not visits
    assert urls
    assert [url for url in urls if not url.startswith((f"{server.url}/", "data:", "blob:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_the_whole_width(browser, server, scheme):
    context = await browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.get_by_text("adapter codebeard@1")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert await box(page).evaluate("e => e.getBoundingClientRect().right") <= 360
    await context.close()


async def test_the_page_says_that_the_model_loads_and_then_what_answers(browser, tmp_path):
    context = await browser.new_context()
    page = await context.new_page()
    async with echo_server(tmp_path, is_started=False) as server:
        await page.goto(server.url)
        await expect(page.locator("#status")).to_contain_text("loading")
        await say(page, "good morning")
        await expect(replies(page).last).to_contain_text("…")
        await server.service.start()
        await expect(replies(page).last).to_contain_text("[codebeard@1] good morning")
        await expect(page.get_by_text("adapter codebeard@1")).to_be_visible()
        await context.close()


async def test_with_a_key_set_the_page_asks_for_it(browser, tmp_path):
    context = await browser.new_context()
    page = await context.new_page()
    async with echo_server(tmp_path, engine=EchoEngine(), api_key="open sesame") as server:
        await page.goto(server.url)
        await page.get_by_label("API key").fill("open barley")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not the key")
        await page.get_by_label("API key").fill("open sesame")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("adapter codebeard@1")).to_be_visible()
        await say(page, "let me in")
        await expect(replies(page).last).to_contain_text("[codebeard@1] let me in")
        await context.close()


async def test_clear_ends_the_reply_that_is_written(page, server):
    server.echo.gate.close()
    await say(page, "never mind this")
    await server.echo.gate.wait_until_held()
    await page.get_by_role("button", name="Clear").click()
    exchange = await asked(server, "never mind this")
    assert (await server.ended(id=exchange.id)).status == "cancelled"
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await expect(replies(page)).to_have_count(0)
    server.echo.gate.open()
    await say(page, "something else")
    await expect(replies(page).last).to_contain_text("something else")
