"""The rows that the personas ship: enough of them, readable, apart from each other, not full of catchphrases."""

from __future__ import annotations

import ast
import re
from difflib import SequenceMatcher

import pytest

from core.personas import load_personas
from core.settings import ROOT
from training.data_files import read_rows

PERSONAS = load_personas(ROOT / "personas")
every_persona = pytest.mark.parametrize("persona", PERSONAS.values(), ids=sorted(PERSONAS))


@every_persona
def test_there_are_enough_rows_and_all_can_be_read(persona):
    assert len(read_rows(persona.train_path)) >= 600
    assert len(read_rows(persona.eval_path)) >= 120
    assert len((persona.folder / "CARD.md").read_text(encoding="utf-8").splitlines()) >= 15


@every_persona
def test_held_out_questions_are_not_the_training_questions_in_disguise(persona):
    trained = {row.user_text.lower() for row in read_rows(persona.train_path) if not row.history}
    for row in read_rows(persona.eval_path):
        if row.history:
            continue
        asked = row.user_text.lower()
        nearest = max(trained, key=lambda other: SequenceMatcher(None, asked, other).quick_ratio())
        assert SequenceMatcher(None, asked, nearest).ratio() < 0.92, (asked, nearest)


@every_persona
def test_no_row_opens_like_many_others(persona):
    rows = read_rows(persona.train_path)
    openings = [" ".join(row.output.split()[:3]).lower() for row in rows]
    most = max(set(openings), key=openings.count)
    assert openings.count(most) <= len(rows) / 25, most


@every_persona
def test_rows_are_short_for_small_models_and_some_long_for_large_ones_with_code_follow_ups_and_context(persona):
    rows = read_rows(persona.train_path)
    words = sorted(len(row.output.split()) for row in rows)
    assert words[len(words) // 2] <= 24 and words[-len(words) // 10] > 60
    assert sum("```" in row.output for row in rows) >= 50
    assert sum(bool(row.history) for row in rows) >= len(rows) * 0.06
    assert sum(bool(row.input) for row in rows) >= 25


@every_persona
def test_python_in_the_rows_is_python(persona):
    for row in (*read_rows(persona.train_path), *read_rows(persona.eval_path)):
        for code in re.findall(r"```python\n(.*?)```", row.output, re.DOTALL):
            ast.parse(code)


def test_no_two_personas_say_the_same():
    outputs = [row.output for persona in PERSONAS.values() for row in read_rows(persona.train_path)]
    long = [text for text in outputs if len(text.split()) > 8]
    assert len(set(long)) == len(long)
