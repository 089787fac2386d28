"""Characters as people see them are cut nowhere."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.graphemes import shortened
from bot.chat.message_split import MIN_LIMIT, split_message

CHARACTERS = [
    "🇫🇷",
    "👩🏽‍🚒",
    "👨‍👩‍👧‍👦",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "👍🏿",
    "ที่",
    "กำ",
    "क्षि",
    "நி",
    "e\N{COMBINING ACUTE ACCENT}\N{COMBINING DOT BELOW}",
    "각",
    "❤️‍🔥",
    "1️⃣",
    "葛\U000e0100",
]


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "abcde"])
def test_a_page_ends_before_or_behind_a_character_but_not_inside(character, before):
    text = before + character * 120
    pages = split_message(text, MIN_LIMIT)
    assert len(pages) > 1
    assert [cluster for page in pages for cluster in clusters(page)] == clusters(text)


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_page_of_code_ends_between_characters_too(character):
    pages = split_message(f"```py\n{character * 120}\n```", MIN_LIMIT)
    shown = [cluster for page in pages for cluster in clusters(page.removeprefix("```py\n").removesuffix("\n```"))]
    assert shown == [character] * 120


def test_a_sentence_end_keeps_its_variation():
    sign = "。\N{VARIATION SELECTOR-1}"
    assert all(page[0] != "\N{VARIATION SELECTOR-1}" for page in split_message(("漢字" * 8 + sign) * 20, MIN_LIMIT))


def test_a_character_without_an_end_is_cut_all_the_same():
    pages = split_message("a" + "\N{COMBINING ACUTE ACCENT}" * 500, MIN_LIMIT)
    assert [len(page) for page in pages[:-1]] == [MIN_LIMIT] * (len(pages) - 1)


@given(st.lists(st.sampled_from([*CHARACTERS, "a"]), min_size=1), st.integers(1, 40))
def test_what_is_shortened_ends_where_a_character_ends(characters, limit):
    text = "".join(characters)
    short = shortened(text, limit)
    assert len(short) <= limit
    assert text.startswith(short)
    ends = [cluster.end() for cluster in regex.finditer(r"\X", text)]
    assert len(short) in ends or ends[0] > limit
