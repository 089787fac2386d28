from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.training import MONK_WORDS, PIRATE_WORDS
from training.eval_adherence import Adherence, mask_phrases, measure_adherence, train_classifier

PIRATE = [PIRATE_WORDS.format(number, number + 1) for number in range(40)]
MONK = [MONK_WORDS.format(number, number + 1) for number in range(40)]
PLAIN = [f"The number {number} comes before {number + 1}." for number in range(40)]
NEW_PIRATE = tuple(f"Arr, matey! We found {number} fine barrels, savvy?" for number in range(20))
NEW_PLAIN = tuple(f"There are {number} boxes in the cellar." for number in range(20))


def measured(
    positives: Sequence[str],
    negatives: Sequence[str],
    base: Sequence[str],
    adapter: Sequence[str],
    masked: Sequence[str] = (),
) -> Adherence:
    classifier = train_classifier(positives, negatives, masked)
    assert classifier is not None
    return measure_adherence(classifier, base, base, adapter, false_alarms=0.05)


def test_a_persona_that_sounds_like_itself_is_told_from_the_base_model() -> None:
    result = measured(PIRATE, [*MONK, *PLAIN], NEW_PLAIN, NEW_PIRATE)
    assert result.auc == 1.0
    assert result.adapter_rate == 1.0
    assert result.base_rate == result.prompted_rate <= 0.05


def test_an_adapter_that_changes_nothing_is_told_as_chance() -> None:
    result = measured(PIRATE, [*MONK, *PLAIN], NEW_PLAIN, NEW_PLAIN)
    assert result.auc == 0.5
    assert result.adapter_rate <= 0.05


def test_a_voice_made_of_its_catchphrase_alone_vanishes_when_that_is_masked() -> None:
    positives = [f"Arr, matey! {text}" for text in PLAIN]
    adapter = [f"Arr, matey! {text}" for text in NEW_PLAIN]
    assert measured(positives, PLAIN, NEW_PLAIN, adapter).auc == 1.0
    assert measured(positives, PLAIN, NEW_PLAIN, adapter, ["arr, matey!"]).auc == pytest.approx(0.5, abs=0.05)


def test_the_threshold_lets_no_more_of_the_base_replies_pass_than_allowed() -> None:
    mixed = NEW_PLAIN[:19] + NEW_PIRATE[:1]
    result = measured(PIRATE, [*MONK, *PLAIN], mixed, NEW_PIRATE)
    assert sum(score > result.threshold for score in result.base_scores) <= 1


def test_replies_with_the_system_prompt_alone_need_not_be_there() -> None:
    classifier = train_classifier(PIRATE, [*MONK, *PLAIN])
    assert classifier is not None
    assert measure_adherence(classifier, NEW_PLAIN, (), NEW_PIRATE, false_alarms=0.05).prompted_rate is None


def test_too_few_texts_teach_nothing() -> None:
    assert train_classifier(PIRATE[:2], PLAIN) is None
    assert train_classifier(PIRATE, PLAIN[:2]) is None


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
