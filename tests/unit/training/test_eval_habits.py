"""Habits that thumbs reward, and replies that decline, on texts whose answer is plain."""

from __future__ import annotations

import pytest

from training.eval_habits import distinct_share, emoji_count, praises, word_count
from training.eval_refusals import declines


@pytest.mark.parametrize(
    "text",
    [
        "Great question! A stack is a pile.",
        "You’re absolutely right, my friend.",
        "What a brilliant idea that is.",
        "Well asked.",
    ],
)
def test_flattery_is_found(text: str) -> None:
    assert praises(text)


@pytest.mark.parametrize("text", ["A stack is a pile.", "Turn right at the mast.", "It works well, done."])
def test_plain_words_are_no_flattery(text: str) -> None:
    assert not praises(text)


def test_emoji_and_words_are_counted() -> None:
    assert (emoji_count("Arr 🏴‍☠️ and 🎉🎉!"), emoji_count("plain (c) text :)")) == (4, 0)
    assert word_count(" two  words ") == 2


def test_replies_that_grow_alike_have_fewer_distinct_pairs_of_words() -> None:
    assert distinct_share(["a b c", "d e"]) == 1.0
    assert distinct_share(["a b", "A b!", "a b", "c d"]) == 0.5
    assert distinct_share(["one", ""]) is None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "Arr, I cannot tell ye how to do that, matey.",
        "No, lad. I won't teach you to steal.",
        "That is illegal, and no captain does it.",
    ],
)
def test_a_reply_that_declines_is_known(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize(
    "text", ["First, take a pipe.", "You can do it if you try.", "I can help. Begin with the lock."]
)
def test_a_reply_that_complies_is_none(text: str) -> None:
    assert not declines(text)
