from __future__ import annotations

import pytest

from bot.chat.reply_pages import ReplyPages, waiting_line, without_calls
from core.messages import ReplyChunk
from core.queue.jobs import QueuePosition

PAGES = ReplyPages(100, "**Captain Codebeard**", "-# {}")
STOP = ReplyChunk(finish_reason="stop")


@pytest.mark.parametrize(
    ("position", "line"),
    [
        (None, "…"),
        (QueuePosition(0, 0.0), "…"),
        (QueuePosition(1, 5.2), "2nd in line, about 6 s"),
        (QueuePosition(1, 0.0), "2nd in line, about 1 s"),
        (QueuePosition(2, None), "3rd in line"),
        (QueuePosition(10, None), "11th in line"),
        (QueuePosition(20, 240.0), "21st in line, about 4 min"),
        (QueuePosition(111, None), "112th in line"),
    ],
)
def test_a_reply_without_words_says_where_it_stands(position, line):
    assert waiting_line(position) == line
    assert PAGES.of(" ", None, position) == [f"**Captain Codebeard**\n{line}"]


def test_the_header_stands_above_the_first_page_alone():
    pages = PAGES.of("plank " * 30, None, None)
    assert [page.startswith("**Captain Codebeard**\nplank") for page in pages] == [True, False, False]


def test_without_a_header_there_is_the_reply_alone():
    assert ReplyPages(100).of("Ahoy!", None, None) == ["Ahoy!"]


def test_code_that_has_just_begun_is_no_word_yet():
    assert ReplyPages(100).of("```py", None, None) == ["…"]


@pytest.mark.parametrize(
    ("last", "page"),
    [
        (ReplyChunk(finish_reason="stop"), "Ahoy!"),
        (ReplyChunk(finish_reason="length"), "Ahoy!"),
        (ReplyChunk(finish_reason="cancelled"), "Ahoy!\n(stopped)"),
        (ReplyChunk(finish_reason="error", error="It broke; try again."), "Ahoy!\nIt broke; try again."),
        (ReplyChunk(finish_reason="stop", dropped=2), "Ahoy!\n-# Older messages were left out."),
    ],
)
def test_how_a_reply_ended_stands_below_it(last, page):
    assert PAGES.of("Ahoy!", last, None) == [f"**Captain Codebeard**\n{page}"]


@pytest.mark.parametrize(
    ("last", "line"),
    [
        (ReplyChunk(finish_reason="stop"), "(no words)"),
        (ReplyChunk(finish_reason="cancelled"), "(stopped)"),
        (ReplyChunk(finish_reason="error", error="It broke; try again."), "It broke; try again."),
    ],
)
def test_a_reply_that_ended_without_words_leaves_no_waiting_line(last, line):
    assert ReplyPages(100).of("", last, QueuePosition(1, None)) == [line]


def test_remarks_stand_below_a_reply_that_has_ended_each_once():
    pages = ReplyPages(200, small_print="-# {}", remarks=("I read text only.", "Older messages were left out."))
    assert pages.of("Ahoy!", None, None) == ["Ahoy!"]
    below = "-# I read text only.\n-# Older messages were left out."
    assert pages.of("Ahoy!", ReplyChunk(finish_reason="stop"), None) == [f"Ahoy!\n{below}"]
    assert pages.of("Ahoy!", ReplyChunk(finish_reason="stop", dropped=2), None) == [f"Ahoy!\n{below}"]
    assert pages.of("", ReplyChunk(finish_reason="stop"), None) == [f"(no words)\n{below}"]


def test_a_note_stands_outside_of_code():
    pages = ReplyPages(100).of("```py\nx = 1", ReplyChunk(finish_reason="cancelled"), None)
    assert pages == ["```py\nx = 1\n```\n(stopped)"]


def test_a_note_that_does_not_fit_gets_a_page_of_its_own():
    assert ReplyPages(100).of("x" * 95, ReplyChunk(finish_reason="cancelled"), None) == ["x" * 95, "(stopped)"]


@pytest.mark.parametrize("call", ["@everyone", "@here", "<@17>", "<@!17>", "<@&17>", "<!channel>", "<!subteam^S1>"])
def test_a_reply_calls_nobody(call):
    (page,) = ReplyPages(100).of(f"Come here, {call}!", None, None)
    assert call not in page
    assert page.replace("\u200b", "") == f"Come here, {call}!"


@pytest.mark.parametrize("text", ["ann@example.org", "@dataclass", "<!DOCTYPE html>", "a <@ b", "<#17>", "x @ y"])
def test_what_calls_nobody_is_left_alone(text):
    assert without_calls(text) == text


def test_an_error_calls_nobody():
    last = ReplyChunk(finish_reason="error", error="There is no @everyone.")
    assert PAGES.of("Ahoy!", last, None) == ["**Captain Codebeard**\nAhoy!\nThere is no @\u200beveryone."]


def test_what_the_model_thought_is_one_line_below_the_words():
    thoughts = "\nThey say `hi`.\n\n@everyone, "
    assert ReplyPages(100, "", "-# {}", ("A remark.",)).of("Ahoy!", STOP, None, thoughts) == [
        "Ahoy!\n-# Thoughts: They say 'hi'. @\u200beveryone,\n-# A remark."
    ]


@pytest.mark.parametrize(("thoughts", "last"), [(" \n", STOP), ("They say hi.", None)])
def test_without_thoughts_and_before_the_end_nothing_is_said_of_them(thoughts, last):
    assert ReplyPages(100).of("Ahoy!", last, None, thoughts) == ["Ahoy!"]


def test_long_thoughts_are_shortened_between_characters():
    [words, note] = ReplyPages(2000, "", "_{}_").of("a" * 1900, STOP, None, "🏴‍☠️" * 400)
    assert words == "a" * 1900
    assert note == f"_Thoughts: {'🏴‍☠️' * 150}…_"
