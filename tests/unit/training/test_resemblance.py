from __future__ import annotations

import pytest

from training.resemblance import Text, is_near_duplicate, resembles


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My cat wakes me at 5!", "my cat wakes me at 5"),
        ("what is a good first board game", "whats a good first board game?"),
        ("how do i sharpen knives", "please, how should I sharpen the knives?"),
    ],
)
def test_the_same_question_in_other_clothes_is_a_near_duplicate(one: str, other: str) -> None:
    assert is_near_duplicate(Text.of(one), Text.of(other))
    assert resembles(Text.of(one), Text.of(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("what is a queue", "what is a stack"),
        ("hi", "hello"),
        ("i lost my keys", "how do i keep pigeons off the balcony"),
        ("", ""),
        ("who are you", "what are you"),
    ],
)
def test_another_question_is_none(one: str, other: str) -> None:
    assert not is_near_duplicate(Text.of(one), Text.of(other))


def test_one_shared_word_is_a_resemblance_but_no_duplicate() -> None:
    assert resembles(Text.of("pizza?"), Text.of("what about some pizza"))
    assert not is_near_duplicate(Text.of("pizza?"), Text.of("what about some pizza"))
