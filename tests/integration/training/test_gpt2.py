"""A base model of the GPT-2 family: its layers are no nn.Linear, and it has no position beyond its context."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from core.errors import InvalidData
from core.personas import Persona
from core.settings import Settings, load_settings
from tests.examples.training import MONK_WORDS, PIRATE_WORDS, make_persona, make_rows, write_rows
from tests.integration.training.conftest import FAST
from tests.models.tiny_models import make_tokenizer
from training.data_files import TrainingRow
from training.evaluation import evaluate
from training.fixed_prompts import read_limits
from training.sft import train

CONTEXT = 256  # tokens of prompt and reply
LIMITS = replace(read_limits("short"), perplexity_rows=6, held_out=4, base_replies=4, max_new_tokens=24)


@pytest.fixture
def workshop(tmp_path: Path) -> tuple[Persona, Settings]:
    tokenizer = make_tokenizer()
    special = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2, initializer_range=0.2, **special
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "gpt2")
    pirate = make_persona(tmp_path / "personas", "pirate", PIRATE_WORDS, rows=8, held_out=4)
    make_persona(tmp_path / "personas", "monk", MONK_WORDS, rows=8, held_out=4)
    settings = load_settings(
        base_model=str(tmp_path / "gpt2"), data_dir=tmp_path / "data", dir=tmp_path / "personas", device="cpu"
    )
    return pirate, settings


def test_what_is_longer_than_its_context_is_left_out_and_counted_in_training_and_in_measuring(
    workshop: tuple[Persona, Settings], caplog: pytest.LogCaptureFixture
) -> None:
    persona, settings = workshop
    long = TrainingRow("Speak long.", "word " * CONTEXT)
    no_room = TrainingRow("#" * 200, "Arr!")  # its own reply fits, one that is written would not
    write_rows(persona.train_path, [*make_rows(PIRATE_WORDS, 8), long])
    write_rows(persona.eval_path, [*make_rows(PIRATE_WORDS, 4, start=8), long, no_room])
    adapter = train(persona, settings, max_steps=3, **FAST)
    assert adapter.lineage["data"]["rows_too_long"] == 1
    assert adapter.lineage["recipe"]["max_length"] == CONTEXT
    report = evaluate(persona, settings, adapter.folder, limits=LIMITS)
    assert (report.held_out_rows, report.summary()["held_out_rows_too_long"]) == (4, 2)
    assert f"1 of 9 rows are longer than {CONTEXT} tokens" in caplog.text
    assert f"2 of 6 held-out rows leave no room in {CONTEXT} tokens" in caplog.text


def test_with_no_row_that_fits_it_is_measured_by_none(workshop: tuple[Persona, Settings]) -> None:
    persona, settings = workshop
    adapter = train(persona, settings, max_steps=3, **FAST)
    write_rows(persona.eval_path, [TrainingRow("Speak long.", "word " * CONTEXT)])
    with pytest.raises(InvalidData, match=f"No held-out row of pirate leaves room in {CONTEXT} tokens"):
        evaluate(persona, settings, adapter.folder, limits=LIMITS)
