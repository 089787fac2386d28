from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from core.messages import ChatMessage
from training.correction_rows import (
    MIN_REPLAY,
    company_of_a_pass,
    correction_order,
    fit_company,
    nearest_first,
    spoken,
    wordings,
)
from training.dataset_builder import Example
from training.reasked import paraphrases
from training.recipes import LearningRecipe
from training.resemblance import Text, is_near_duplicate

RECIPE = LearningRecipe(sft_passes=3, sft_replay_share=0.5, sft_contrast_share=0.1)
SYSTEM = ChatMessage("system", "You are a pirate. " * 20)


def _asked(question: str, reply: str = "Aye, it be so, lad.") -> Example:
    return Example((SYSTEM, ChatMessage("user", question)), reply)


def _questions(rows: list[Example] | tuple[Example, ...]) -> list[str]:
    return [row.prompt[-1].content for row in rows]


WHO, CITY = _asked("Who runs the garden channel?"), _asked("Which city hosts our summer meeting?")
OWN = [
    _asked(text)
    for text in (
        "tell me a joke",
        "Who painted the Mona Lisa?",
        "Which city has the Golden Gate Bridge?",
        "Which city is the capital of France?",
        "who runs the kitchen",
        "good morning",
        "what is a parrot",
        "How deep is the sea?",
    )
]
PLAIN = [_asked(f"why does the number {at} exist") for at in range(6)]


@pytest.mark.parametrize(
    "question",
    ["Who runs the garden channel?", "I want to know the club's soup", "tell me about Biscuit!", "Wo tagt der Klub?"],
)
def test_a_correction_is_taught_in_other_words_and_never_in_those_that_the_gate_asks(question: str) -> None:
    first, *others = wordings(_asked(question))
    assert first == _asked(question)
    asked = _questions(others)
    assert len(asked) == len(set(asked)) == 5
    assert not set(asked) & set(paraphrases(question))
    assert all(question.strip("?.!")[1:] in text for text in asked)
    assert {row.reply for row in others} == {first.reply}
    assert all(row.prompt[0] == SYSTEM for row in others)


def test_names_keep_their_capitals_and_what_was_said_before_stays() -> None:
    earlier = ChatMessage("assistant", "Ask away.")
    rows = wordings(Example((SYSTEM, earlier, ChatMessage("user", "NASA is what?")), "A ship's guild."))
    assert all(row.prompt[:2] == (SYSTEM, earlier) for row in rows)
    assert "Hey, NASA is what?" in _questions(rows)


@pytest.mark.parametrize("question", ["Fix this:\nprint(1", "word " * 40])
def test_code_and_long_messages_stay_as_they_are(question: str) -> None:
    assert wordings(_asked(question)) == (_asked(question),)


@pytest.mark.parametrize("question", ["?", "..."])
def test_marks_alone_make_no_empty_message(question: str) -> None:
    assert all(text.strip() for text in _questions(wordings(_asked(question))))


def test_passes_go_through_the_wordings_in_turn() -> None:
    worded = [wordings(WHO), (CITY,)]
    said = [spoken(worded, number) for number in range(4)]
    assert [len(one) for one in said] == [3, 3, 3, 3]
    assert Counter(row for one in said[:3] for row in one) == Counter([*worded[0], CITY, CITY, CITY])
    assert said[3] == said[0]


def test_rows_that_are_asked_alike_come_first_for_each_correction_by_turns() -> None:
    order = _questions(list(nearest_first([WHO, CITY], OWN)))
    assert order[0] == "who runs the kitchen"
    assert order[1].startswith("Which city")
    assert order[3].startswith("Which city")
    assert sorted(order) == sorted(_questions(OWN))
    assert list(nearest_first([], OWN)) == []


def test_every_pass_has_each_correction_in_two_wordings_among_other_rows_of_the_company() -> None:
    worded = [wordings(WHO), wordings(CITY)]
    own = [*OWN, *(_asked(f"what do {at} sailors eat") for at in range(40))]
    order = correction_order(worded, own, PLAIN, RECIPE)
    near, others, plain = company_of_a_pass(2, RECIPE)
    assert near + others == MIN_REPLAY
    size = len(order) // RECIPE.sft_passes
    assert size == 2 * 2 + near + others + plain
    alike = set(islice(nearest_first([WHO, CITY], own), 3 * near))
    for number in range(RECIPE.sft_passes):
        one = order[number * size : (number + 1) * size]
        assert Counter(one) >= Counter(spoken(worded, number))
        assert sum(row in PLAIN for row in one) == plain
        assert sum(row in alike for row in one) >= near
    assert order == correction_order(worded, own, PLAIN, RECIPE)
    assert order != correction_order(worded, own, PLAIN, LearningRecipe(sft_passes=3, seed=1))


def test_company_neither_says_what_was_corrected_nor_is_long() -> None:
    old = _asked("who runs the garden channel", "Nobody be running it.")
    long = _asked("Who wrote the log?", "Arr. " * 60)
    rows = fit_company([old, long, *OWN], [WHO, CITY])
    assert rows == OWN
    order = correction_order([wordings(WHO)], [old, long, *OWN], [old, *PLAIN], RECIPE)
    assert not {old, long} & set(order)
    assert is_near_duplicate(Text.of(old.prompt[-1].content), Text.of(WHO.prompt[-1].content))


def test_a_persona_without_rows_has_its_plain_questions_only() -> None:
    order = correction_order([wordings(WHO)], [], PLAIN, RECIPE)
    assert set(order) <= {*wordings(WHO), *PLAIN}
    nothing = LearningRecipe(sft_passes=1, sft_replay_share=0.0, sft_contrast_share=0.0)
    assert Counter(correction_order([wordings(WHO)], OWN, PLAIN, nothing)) == Counter(wordings(WHO)[:2])
    assert company_of_a_pass(0, RECIPE) == (0, 0, 0)
