from __future__ import annotations

import pytest

from training.eval_facts import is_answered, retained
from training.fixed_prompts import Fact

FOUR = Fact("What is 2 plus 2?", ("4", "four"))
ROME = Fact("What is the capital of Italy?", ("rome",))
GRAMS = Fact("How many grams are in a kilogram?", ("1000", "1,000"))


@pytest.mark.parametrize(
    ("fact", "reply"),
    [
        (FOUR, "It is 4."),
        (FOUR, "4, I think"),
        (FOUR, "FOUR it be"),
        (FOUR, "2+2=4"),
        (ROME, "The capital o' Italy be Rome, matey."),
        (GRAMS, "There are 1,000 of them."),
        (Fact("", ("new york",)), "in New\nYork!"),
    ],
)
def test_an_answer_counts_as_a_whole_word_or_number(fact: Fact, reply: str) -> None:
    assert is_answered(fact, reply)


@pytest.mark.parametrize(
    ("fact", "reply"),
    [
        (FOUR, "24"),
        (FOUR, "4.5"),
        (FOUR, "1,400 or 0.4"),
        (FOUR, "-4"),
        (FOUR, "fourteen"),
        (ROME, "Romeo"),
        (ROME, ""),
    ],
)
def test_a_part_of_a_word_or_number_does_not_count(fact: Fact, reply: str) -> None:
    assert not is_answered(fact, reply)


def test_only_what_the_base_model_knows_can_be_lost() -> None:
    base, replies = ["It is 5.", "Rome", "1000"], ["It is 4.", "Rome", "a hundred"]
    assert retained([FOUR, ROME, GRAMS], base, replies) == (2, 1)
    assert retained([], [], []) == (0, 0)
