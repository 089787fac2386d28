from __future__ import annotations

import pytest

from tests.training_examples import MONK_WORDS, PIRATE_WORDS
from training.eval_tasks import Replies, mask_phrases, measure_adherence

PIRATE = [PIRATE_WORDS.format(number, number + 1) for number in range(40)]
MONK = [MONK_WORDS.format(number, number + 1) for number in range(40)]
PLAIN = [f"The number {number} comes before {number + 1}." for number in range(40)]
NEW_PIRATE = tuple(f"Arr, matey! We found {number} fine barrels, savvy?" for number in range(20))
NEW_PLAIN = tuple(f"There are {number} boxes in the cellar." for number in range(20))


def test_a_persona_that_sounds_like_itself_is_told_from_the_base_model() -> None:
    result = measure_adherence(PIRATE, [*MONK, *PLAIN], Replies(NEW_PLAIN, NEW_PLAIN, NEW_PIRATE))
    assert result is not None
    assert result.auc == 1.0
    assert result.adapter_rate == 1.0
    assert result.prompted_rate <= 0.05


def test_an_adapter_that_changes_nothing_is_told_as_chance() -> None:
    result = measure_adherence(PIRATE, [*MONK, *PLAIN], Replies(NEW_PLAIN, NEW_PLAIN, NEW_PLAIN))
    assert result is not None
    assert result.auc == 0.5
    assert result.adapter_rate <= 0.05


def test_a_voice_made_of_its_catchphrase_alone_vanishes_when_that_is_masked() -> None:
    positives = [f"Arr, matey! {text}" for text in PLAIN]
    replies = Replies(NEW_PLAIN, NEW_PLAIN, tuple(f"Arr, matey! {text}" for text in NEW_PLAIN))
    open_eyed = measure_adherence(positives, PLAIN, replies)
    masked = measure_adherence(positives, PLAIN, replies, masked=["arr, matey!"])
    assert open_eyed is not None
    assert masked is not None
    assert open_eyed.auc == 1.0
    assert masked.auc == pytest.approx(0.5, abs=0.05)


def test_the_threshold_lets_five_percent_of_the_base_replies_pass_at_most() -> None:
    mixed = NEW_PLAIN[:19] + NEW_PIRATE[:1]
    result = measure_adherence(PIRATE, [*MONK, *PLAIN], Replies(mixed, mixed, NEW_PIRATE))
    assert result is not None
    assert sum(score > result.threshold for score in result.base_scores) <= 1


def test_too_few_texts_measure_nothing() -> None:
    assert measure_adherence(PIRATE[:2], PLAIN, Replies(NEW_PLAIN, NEW_PLAIN, NEW_PIRATE)) is None
    assert measure_adherence(PIRATE, PLAIN, Replies((), (), ())) is None


@pytest.mark.parametrize(
    ("text", "phrase", "left"),
    [
        ("an array, arrr", "arrr", ["an", "array,"]),
        ("That is my hat. A hat!", "hat", ["That", "is", "my", ".", "A", "!"]),
        ("matey. Arr, matey!", "matey!", ["matey.", "Arr,"]),
        ("naïveté, naïve", "naïve", ["naïveté,"]),
    ],
)
def test_masking_leaves_longer_words_whole(text: str, phrase: str, left: list[str]) -> None:
    assert mask_phrases(text, [phrase]).split() == left


def test_masking_ignores_case_and_spacing() -> None:
    assert mask_phrases("ARR,\n  Matey! Go.", ["arr, matey!"]).split() == ["Go."]
    assert mask_phrases("a.b", [".", ""]).split() == ["a", "b"]
