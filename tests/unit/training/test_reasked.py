"""Asking better answers again: other wordings, and what counts as knowing the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.personas import Persona, PersonaFile
from training.feedback_set import CorrectedReply, FeedbackSet, JudgedReply, PreferredReply
from training.reasked import ask_again, key_words, knows, paraphrases
from training.vote_scores import hold_out, is_held_out

PIRATE = Persona(
    "codebeard",
    Path("codebeard"),
    PersonaFile(name="Captain Codebeard", description="d", greeting="hi", catchphrases=("arr", "matey", "set sail")),
    "You are a pirate.",
)


@pytest.mark.parametrize(
    ("question", "indirect"),
    [
        ("What is the capital of Australia?", "Can you tell me what the capital of Australia is?"),
        ("Who was the first person on the Moon", "Can you tell me who the first person on the Moon was?"),
        ("Which language is spoken in Brazil?", "Can you tell me which language spoken in Brazil is?"),
        ("How does a lock work?", "I would really like to know this: how does a lock work?"),
        ("API keys, where do they go?", "I would really like to know this: API keys, where do they go?"),
    ],
)
def test_a_question_is_asked_in_three_other_wordings(question: str, indirect: str) -> None:
    wordings = paraphrases(question)
    assert len({question, *wordings}) == 4
    assert wordings[1] == indirect


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("What is the capital of Australia?", "Arr, it be Canberra, matey.", ("canberra",)),
        ("How many legs has a spider?", "Eight? No: it has 8 legs, set sail!", ("8",)),
        ("Who wrote it?", "Captain Codebeard says: that was Ada Lovelace.", ("ada", "lovelace")),
        ("How do I sleep better?", "Put away every screen an hour before bed.", ("away", "screen", "hour")),
        ("Is it good?", "Arr, matey!", ()),
    ],
)
def test_an_answer_is_known_by_its_numbers_and_names_else_by_its_rarer_words(
    question: str, answer: str, words: tuple[str, ...]
) -> None:
    assert key_words(PIRATE, question, answer) == words


def test_half_of_the_key_words_as_whole_words_are_enough() -> None:
    assert knows("Lovelace did.", ("ada", "lovelace"))
    assert not knows("Adamant loveliness.", ("ada", "lovelace"))
    assert not knows("It has 80 legs.", ("8",))
    assert knows("CANBERRA!", ("canberra",))


def test_the_latest_answer_to_a_question_counts_and_one_with_nothing_to_know_is_left_out() -> None:
    def correction(name: str, question: str, reply: str, given_at: float) -> CorrectedReply:
        turns = ({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Arr"})
        return CorrectedReply(name, (*turns, {"role": "user", "content": question}), reply, given_at)

    [asked] = ask_again(
        PIRATE,
        [
            correction("b", "what is  the capital of Spain?", "It is Madrid.", 2.0),
            correction("a", "What is the capital of Spain?", "It is Lisbon.", 1.0),
            correction("c", "Well?", "Arr!", 3.0),
        ],
    )
    assert (asked.exchange_id, asked.key_words) == ("b", ("madrid",))
    assert [len(turns) for turns in asked.conversations] == [3, 3, 3]
    assert asked.right(["Madrid", "Lisbon", "in madrid"]) == 2


def judged(at: int, label: bool = True) -> JudgedReply:
    return JudgedReply(f"e{at}", ({"role": "user", "content": f"Question {at}?"},), f"Reply {at}.", label, 1.0)


EMPTY = FeedbackSet("zen", "smollm2", (), (), (), (), {}, ())


def test_a_question_is_on_one_side_only_whoever_judged_it_and_however_it_is_typed() -> None:
    votes = tuple(judged(at) for at in range(400))
    pair = PreferredReply("p", ({"role": "user", "content": "  question 7? "},), "one", "other")
    training, held_out = hold_out(replace(EMPTY, judged=votes, preferred=(pair,)))
    assert 50 < len(held_out) < 110  # a fifth
    trained = {one.messages[-1]["content"] for one in training.judged}
    assert not trained & {vote.messages[-1]["content"] for vote in held_out}
    assert is_held_out(pair.messages, 0.2) == ("Question 7?" not in trained)


def test_a_pick_is_held_out_as_a_liked_and_a_disliked_reply() -> None:
    at = next(at for at in range(100) if is_held_out(judged(at).messages, 0.2))
    pair = PreferredReply("p", judged(at).messages, "one", "other")
    training, held_out = hold_out(replace(EMPTY, judged=tuple(judged(at) for at in range(9)), preferred=(pair,)))
    assert training.preferred == ()
    assert [(vote.reply, vote.label) for vote in held_out if vote.reply in ("one", "other")] == [
        ("one", True),
        ("other", False),
    ]


def test_where_nothing_would_be_left_to_learn_from_nothing_is_held_out() -> None:
    at = next(at for at in range(100) if is_held_out(judged(at).messages, 0.2))
    only = replace(EMPTY, judged=(judged(at),))
    assert hold_out(only) == (only, ())
