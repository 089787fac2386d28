"""What a reasoning model thinks aloud is parted from what it says, however the pieces fall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.thinking import ThinkingFilter, opens_thoughts, without_thoughts

CASES = {
    "<think>plan</think>Arr!": ("Arr!", "plan"),
    "\n<think>\nplan\n</think>\n\nArr!": ("Arr!", "\nplan\n"),
    "<think></think>\n\nArr!": ("Arr!", ""),
    "<think>one</think>\n<think>two</think>Arr!": ("Arr!", "onetwo"),
    "<THINK>plan</Think>Arr!": ("Arr!", "plan"),
    "<thinking>a </think> b</thinking>Arr!": ("Arr!", "a </think> b"),
    "[THINK]plan[/THINK]Arr!": ("Arr!", "plan"),
    "<think>cut off in the": ("", "cut off in the"),
    "<think>cut off in the tag</thi": ("", "cut off in the tag</thi"),
    "Arr! <think>again</think> Aye.": ("Arr! Aye.", "again"),
    "Arr!\n<think>again": ("Arr!\n", "again"),
    "Arr <thi": ("Arr <thi", ""),
    "  two blanks": ("  two blanks", ""),
    "The tag `<think>` opens, `</think>` closes.": ("The tag `<think>` opens, `</think>` closes.", ""),
    "Write `a <think> b` there.": ("Write `a <think> b` there.", ""),
    "```\n<think>x</think>\n```\n": ("```\n<think>x</think>\n```\n", ""),
    'The tag "<think>" opens.': ('The tag "<think>" opens.', ""),
    "List<think>": ("List<think>", ""),
    "": ("", ""),
}


def part(pieces, *, is_open=False):
    parting = ThinkingFilter(is_open=is_open)
    parted = [*map(parting.feed, pieces), parting.flush()]
    return "".join(piece.text for piece in parted), "".join(piece.thoughts for piece in parted)


@pytest.mark.parametrize("reply", CASES)
def test_a_reply_is_parted_whole_and_letter_by_letter(reply):
    assert part([reply]) == CASES[reply]
    assert part(reply) == CASES[reply]


@pytest.mark.parametrize(
    ("reply", "parted"),
    [
        ("plan</think>\n\nArr!", ("Arr!", "plan")),
        ("plan without an end", ("", "plan without an end")),
        ("one</think><think>two</think>Arr!", ("Arr!", "onetwo")),
    ],
)
def test_thoughts_that_the_prompt_has_opened_end_all_the_same(reply, parted):
    assert part([reply], is_open=True) == part(reply, is_open=True) == parted


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<thi", "nk>", "`", "```", " ", "\n", "a", "[THINK]", "<"]))


@given(PIECES, st.booleans())
def test_where_the_pieces_end_makes_no_difference(pieces, is_open):
    text = "".join(pieces)
    assert part(pieces, is_open=is_open) == part(text, is_open=is_open) == part([text], is_open=is_open)


@given(st.text("ab <>/`\n"))
def test_a_reply_without_a_tag_stays_as_it_is(text):
    assert part(text) == (text, "")


def test_what_is_said_is_shown_as_soon_as_it_can_be_no_tag():
    parting = ThinkingFilter()
    assert parting.feed("Ahoy <").text == "Ahoy "
    assert parting.feed("3").text == "<3"


def test_a_whole_reply_can_be_freed_of_its_thoughts():
    assert without_thoughts("<think>plan</think>\n\nArr!") == "Arr!"


@pytest.mark.parametrize(
    ("prompt", "is_open"),
    [("<|assistant|><think>\n", True), ("<|assistant|>", False), ("<think>\n\n</think>\n\n", False)],
)
def test_a_prompt_may_end_inside_thoughts(prompt, is_open):
    assert opens_thoughts(prompt) == is_open
