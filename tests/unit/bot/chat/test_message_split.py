from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.message_split import FENCE, MIN_LIMIT, split_message

WORD = st.text("abcdefgxyzäß漢👍", min_size=1, max_size=12)
LINE = st.lists(WORD, min_size=1, max_size=12).map(" ".join)
ITEM = st.builds("{}{} {}".format, st.sampled_from(["", "  "]), st.sampled_from(["-", "*", "12."]), LINE)
CODE = st.builds(
    "```{}\n{}\n```".format,
    st.sampled_from(["", "py", "objective-c++"]),
    st.lists(st.builds("{}{}".format, st.sampled_from(["", "    ", "\n"]), LINE), min_size=1, max_size=8).map(
        "\n".join
    ),
)
BLOCK = st.one_of(
    st.lists(LINE, min_size=1, max_size=4).map("\n".join),
    st.lists(ITEM, min_size=1, max_size=8).map("\n".join),
    LINE.map("## {}".format),
    CODE,
    st.builds("{} ```{}``` {}".format, LINE, LINE, LINE),
    CODE.map("- see\n{}".format),
)
SPACE = st.sampled_from(["\n", "\n\n", "\n \n\n"])


def text_of(blocks):
    return "".join(part for block in blocks for part in block)


TEXT = st.lists(st.tuples(BLOCK, SPACE), max_size=8).map(text_of)
GROWING = st.lists(st.tuples(BLOCK, SPACE), max_size=3).map(text_of)  # it is split as often as it has characters
TANGLE = st.text("ab` \n-.1#_👍🏽\u0301\u200d", max_size=300)  # whatever a model may come up with
LIMIT = st.integers(MIN_LIMIT, 200)


def words_of(*pages):
    """The words, without the fences, which pages open and close again."""
    return [word for page in pages for word in re.sub(r"```([\w+.#-]*\n)?", " ", page).split()]


def test_a_short_text_is_one_page():
    assert split_message("Ahoy!", 2000) == ["Ahoy!"]


def test_a_text_that_just_fits_is_one_page():
    assert split_message("x" * 2000, 2000) == ["x" * 2000]


@pytest.mark.parametrize("text", ["", " \n\t\n ", "`", "```", "```py\n", "```py"])
def test_a_text_that_shows_nothing_has_no_page(text):
    assert split_message(text, 100) == []


def test_a_page_that_holds_next_to_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 64"):
        split_message("Ahoy!", 10)


def test_pages_end_between_paragraphs():
    first, second = "one two. " * 8, "three four. " * 8
    assert split_message(f"{first}\n\n{second}", 120) == [first.strip(), second.strip()]


def test_a_long_paragraph_is_broken_after_a_sentence():
    text = "Aye, the sea is wide and deep and cold. " * 4 + "and deeper " * 3
    first, second = split_message(text, 180)
    assert first.endswith("cold.")
    assert second == "and deeper and deeper and deeper"


def test_a_text_without_sentences_is_broken_between_words():
    assert split_message("abcdefghi " * 8, 70) == [" ".join(["abcdefghi"] * 7), "abcdefghi"]


def test_a_word_longer_than_a_page_is_broken():
    assert split_message("x" * 150, 70) == ["x" * 70, "x" * 70, "x" * 10]


def test_a_character_of_several_code_points_is_not_broken():
    family = "👩\u200d👩\u200d👧"
    pages = split_message("x" * 68 + family * 3, 70)
    assert pages == ["x" * 68, family * 3]


def test_a_list_is_broken_between_its_items():
    items = [f"{number}. " + "plank " * 7 for number in range(1, 5)]
    pages = split_message("\n".join(items), 100)
    assert pages == ["\n".join(items[:2]).strip(), "\n".join(items[2:]).strip()]


def test_a_short_list_that_begins_low_on_a_page_goes_to_the_next_as_a_whole():
    text, items = "The crew sails at dawn. " * 3, "- one mast\n- two sails\n- three planks and a rope"
    assert split_message(f"{text}\n{items}", 110) == [text.strip(), items]


def test_an_item_keeps_its_lines_and_its_code():
    item = "2. run this\n   ```sh\n   make demo\n\n   make test\n   ```\n   and wait"
    text = "1. " + "install " * 9 + "\n" + item
    assert split_message(text, 100) == [text.split("\n", 1)[0].strip(), item]


def test_code_that_fits_a_page_is_not_broken():
    code = "```py\n" + "print('arr')\n" * 5 + "```"
    assert split_message(f"Here is how to say it.\n{code}\nAnd that is all.", 100) == [
        "Here is how to say it.",
        f"{code}\nAnd that is all.",
    ]


def test_code_longer_than_a_page_is_closed_and_opened_again_with_its_language():
    lines = [f"    print({number})" for number in range(10)]
    assert split_message("```python\n" + "\n".join(lines) + "\n```\nDone.", 100) == [
        "```python\n" + "\n".join(lines[:6]) + "\n```",
        "```python\n" + "\n".join(lines[6:]) + "\n```\nDone.",
    ]


def test_no_page_is_opened_for_the_end_of_code_alone():
    code = "```\n" + "x" * 66
    assert split_message(f"{code}\n```", 74) == [f"{code}\n```"]
    assert split_message(f"{code}\n```\nDone.", 74) == [f"{code}\n```", "Done."]


def test_code_that_is_still_being_written_is_closed():
    assert split_message("See:\n```py\nx = 1", 100) == ["See:\n```py\nx = 1\n```"]


@pytest.mark.parametrize("beginning", ["\n`", "\n``", "\n```"])
def test_code_whose_end_is_still_being_written_is_closed_once(beginning):
    assert split_message(f"```py\nx = 1{beginning}", 100) == ["```py\nx = 1\n```"]


def test_code_that_has_just_begun_is_not_shown_empty():
    assert split_message("See:\n```pyth", 100) == ["See:"]


@given(TEXT, LIMIT)
def test_joined_pages_hold_every_word_in_order(text, limit):
    assert words_of(*split_message(text, limit)) == words_of(text)


@given(TEXT, LIMIT)
def test_code_keeps_its_lines(text, limit):
    whole = {line for code in re.findall(r"^```[\w+-]*\n([^`]*)\n```", text, re.MULTILINE) for line in code.split("\n")}
    pages = "\n".join(split_message(text, limit)).split("\n")
    assert {line for line in whole if line.strip() and len(line) < MIN_LIMIT - 24} <= set(pages)


@given(TEXT, LIMIT)
def test_an_item_that_fits_a_page_stands_on_one(text, limit):
    pages = split_message(re.sub(FENCE, "", text), limit)
    for item in re.findall(r"^(?:- |\* |12\. ).*", re.sub(FENCE, "", text), re.MULTILINE):
        if len(item) <= limit:
            assert any(item.strip() in page for page in pages)


@given(st.one_of(TEXT, TANGLE), LIMIT)
@example("`" * 200, MIN_LIMIT)
@example("```" + "c#" * 60 + "\nx", MIN_LIMIT)
def test_no_page_is_blank_or_above_the_limit_and_fences_are_balanced_on_each(text, limit):
    for page in split_message(text, limit):
        assert page.strip()
        assert len(page) <= limit
        assert page.count(FENCE) % 2 == 0


@given(st.one_of(GROWING, TANGLE), st.integers(MIN_LIMIT, 100))
@example("```\n" + "x" * 55 + "\n```\nabc", MIN_LIMIT)
@example("```\n" + "x" * 55 + "\n\n    ```", MIN_LIMIT)
def test_pages_stay_as_they_are_once_the_next_has_begun(text, limit):
    shown = []
    for end in range(len(text) + 1):
        pages = split_message(text[:end], limit)
        assert pages[: max(0, len(shown) - 1)] == shown[:-1]
        assert len(pages) >= len(shown)
        shown = pages


@given(TANGLE, LIMIT)
def test_nothing_of_a_tangle_is_lost_but_fences_and_white_space(tangle, limit):
    text = f"{tangle}\nend"
    pages = iter("".join(split_message(text, limit)))
    assert all(char in pages for char in text if not char.isspace() and char != "`")
