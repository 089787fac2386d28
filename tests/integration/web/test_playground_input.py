"""What does not come from our page: the playground's events, called as Gradio's queue lets anybody call them."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.running.playground_page import open_page
from tests.running.serving import echo_server

# One server for the whole file; every call is a session of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")

BROKEN = "half a pair: \ud800"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live_server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def page(live_server):
    async with live_server.http() as http:
        yield await open_page(http)


@pytest.mark.parametrize(
    ("text", "choice", "blend", "sentence"),
    [
        (None, "zen", "", "The message must be text"),
        (7, "zen", "", "The message must be text"),
        ({"a": 1}, "zen", "", "The message must be text"),
        ("hi", None, "", "The persona must be text"),
        ("hi", 7, "", "The persona must be text"),
        ("hi", "nobody", "", "nobody"),
        ("hi", "", "", "is not a persona or blend"),
        ("hi", "a blend", None, "The blend must be text"),
        ("hi", "a blend", "zen:lots", "gives zen the weight"),
        ("hi", "a blend", "zen+" * 200, "at most 200 are allowed"),
        ("hi", BROKEN, "", "is not a persona or blend"),
        ("  ", "zen", "", "The message is empty"),
        ("x" * 20_001, "zen", "", "20001 characters long; at most 20000"),
        ("a\x00b", "zen", "", "NUL"),
        (BROKEN, "zen", "", "broken character at position 13"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_a_sentence(page, text, choice, blend, sentence):
    toasts, output, said = await page.call("_send", text, None, choice, blend)
    assert len(toasts) == 1
    assert sentence in toasts[0]
    assert toasts[0].endswith(".")
    assert output is not None
    assert "object" not in said
    # The page then asks what to put back into the box, and must get its button back whatever was sent.
    toasts, output, said = await page.call("_await_message", None, choice, blend)
    assert output is not None
    assert output[0]["submit_btn"] == "Send"


async def test_a_question_that_is_no_text_comes_back_as_one_that_can_be_sent(page):
    await page.call("_send", BROKEN, None, "zen", "")
    _, output, _ = await page.call("_await_message", None, "zen", "")
    assert output[0]["value"] == "half a pair: ?"


@pytest.mark.parametrize("choice", [None, 7, ["zen"], "nobody", BROKEN])
async def test_a_choice_that_is_none_is_refused_with_a_sentence(page, choice):
    toasts, output, _ = await page.call("_choose", choice, "")
    assert len(toasts) == 1
    assert toasts[0].endswith(".")
    assert output is not None


@pytest.mark.parametrize("index", ["first", None, 1.5, [], ["x", 0], -1, 99])
async def test_a_thumb_on_nothing_is_refused_with_a_sentence(page, index):
    toasts, _, _ = await page.call("_judge", None, event_data={"index": index, "value": "", "liked": True})
    assert toasts == ["Only a reply can be judged; use the thumbs below one."]


async def test_a_mistake_in_the_call_itself_says_nothing_about_the_inside(page):
    _, output, said = await page.call("_judge", None, event_data={})
    assert output is None
    assert "KeyError" not in said
    assert "index" not in said
