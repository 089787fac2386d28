from __future__ import annotations

from pathlib import Path

import pytest

from core.engine.chat_template import ChatTemplate
from core.errors import InvalidData
from core.messages import ChatMessage
from core.prompts import build
from tests.examples.training import PIRATE_WORDS, make_persona, make_rows
from tests.models.tiny_models import make_tokenizer
from training.data_files import TrainingRow
from training.dataset_builder import build_dataset, dataset_hash, example_of

HISTORY = (ChatMessage("user", "Hi."), ChatMessage("assistant", "Ahoy."))


def test_a_row_becomes_the_prompt_that_serving_would_build() -> None:
    row = TrainingRow("Mend this.", "Aye.", "print(1", HISTORY)
    conversation = [*HISTORY, ChatMessage("user", "Mend this.\n\nprint(1")]
    served = build("You are a pirate.", conversation, budget_tokens=1000, count_tokens=lambda _: 1)
    assert example_of(row, "You are a pirate.").prompt == served.messages


def test_rows_too_long_for_the_recipe_are_left_out_and_counted(tmp_path: Path) -> None:
    persona = make_persona(tmp_path, "pirate", PIRATE_WORDS)
    rows = [*make_rows(PIRATE_WORDS, 3), TrainingRow("Speak long.", "word " * 500)]
    dataset = build_dataset(persona, rows, ChatTemplate(make_tokenizer()), max_length=400)
    assert (dataset.rows, dataset.too_long, len(dataset.examples)) == (4, 1, 3)


def test_rows_that_are_all_too_long_are_refused(tmp_path: Path) -> None:
    persona = make_persona(tmp_path, "pirate", PIRATE_WORDS)
    with pytest.raises(InvalidData, match="All 3 rows of pirate are longer than 20 tokens"):
        build_dataset(persona, make_rows(PIRATE_WORDS, 3), ChatTemplate(make_tokenizer()), max_length=20)


def test_the_hash_follows_rows_order_and_system_prompt(tmp_path: Path) -> None:
    pirate = make_persona(tmp_path / "a", "pirate", PIRATE_WORDS)
    rows = make_rows(PIRATE_WORDS, 3)
    assert dataset_hash(pirate, rows) == dataset_hash(pirate, list(rows))
    assert dataset_hash(pirate, rows) != dataset_hash(pirate, rows[::-1])
    assert dataset_hash(pirate, rows) != dataset_hash(make_persona(tmp_path / "b", "monk", PIRATE_WORDS), rows)


def test_a_row_that_writes_out_a_special_token_is_refused_by_its_number(tmp_path: Path) -> None:
    persona = make_persona(tmp_path, "pirate", PIRATE_WORDS)
    rows = [*make_rows(PIRATE_WORDS, 2), TrainingRow("How does ChatML end a turn?", "With <|im_end|>, matey.")]
    with pytest.raises(InvalidData, match=r"Row 3 of pirate, .* writes out <\|im_end\|>"):
        build_dataset(persona, rows, ChatTemplate(make_tokenizer()), max_length=400)
