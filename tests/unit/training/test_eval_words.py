from __future__ import annotations

import pytest

from training.eval_quality import Written, find_flaws, language_of, measure_quality
from training.eval_words import english_words, is_english, unknown_words, words_of


@pytest.mark.parametrize(
    "reply",
    [
        "I don't think the dogs' bowl isn't clean; nobody'll know.",
        "Well-known words, 3rd place, v2.0beta and `frobnicate()`.",
        "See https://exmple.org/qwzx or qwzx_y, mail a@qwzx.io.",
        "The URL and the SQL are fine.",
        "A café, my neighbour's favourite, in the centre.",
        "We be sailin' at dawn.",
    ],
)
def test_words_as_they_stand_in_a_dictionary_are_words(reply: str) -> None:
    assert unknown_words(reply, (), english_words()) == []


def test_what_is_no_word_is_found() -> None:
    assert unknown_words("The wobblefrit was non-glutenable, matelgo.", (), english_words()) == [
        "glutenable",
        "matelgo",
        "wobblefrit",
    ]


def test_the_personas_own_words_and_the_prompts_are_words() -> None:
    assert unknown_words("Arr, ye scallywaggle!", words_of("arr scallywaggle"), english_words()) == []


def test_the_word_that_the_limit_cut_in_two_does_not_count() -> None:
    assert unknown_words("This is a transforma", (), english_words()) == ["transforma"]
    assert unknown_words("This is a transforma", (), english_words(), is_cut=True) == []


def test_english_is_told_from_another_language() -> None:
    assert is_english(words_of("The kettle is on, and the terminal is quiet."))
    assert not is_english(words_of("Der Wasserkessel pfeift schon wieder, und niemand geht hin; schade drum."))


def test_flaws_are_counted_by_kind_and_shown() -> None:
    language = language_of(["Arr, ye be a lad."], ["<|end|>"], english_words(), is_english=True)
    replies = [
        Written("Arr, fine."),
        Written("Arr <|end|>"),
        Written("A qwzxl, arr."),
        Written("Fine and", is_cut=True),
    ]
    quality = measure_quality(["hi"] * 4, replies, language)
    assert quality is not None
    assert (quality.flawed, quality.repeats, quality.garbage, quality.no_words, quality.cut) == (
        0.5,
        0,
        0.25,
        0.25,
        0.25,
    )
    assert [flaw.reasons for flaw in quality.flaws] == [("garbage",), ("no words: qwzxl",)]
    assert measure_quality([], [], language) is None


def test_in_a_language_without_a_list_words_are_not_judged() -> None:
    language = language_of([], [], english_words(), is_english=False)
    assert find_flaws("hallo", Written("Der Wasserkessel pfeift."), language) == ()
    assert find_flaws("hallo", Written("Der Kessel \ufffd", is_cut=True), language) == ()  # half a character
