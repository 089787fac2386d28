"""The rules of feedback, from persona.toml and from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InvalidData, InvalidInput
from core.personas import FeedbackTable, load_persona
from training.feedback_policy import NUMBERS, FeedbackPolicy, describe, feedback_policy

PERSONA = 'name = "Ada"\ndescription = "d"\ngreeting = "hi"\n'


def write(folder: Path, table: str) -> Path:
    folder.mkdir()
    (folder / "persona.toml").write_text(f"{PERSONA}[feedback]\n{table}\n", encoding="utf-8")
    (folder / "system_prompt.md").write_text("You are Ada.", encoding="utf-8")
    return folder


def test_the_table_knows_every_number_and_nothing_else():
    assert tuple(FeedbackTable.model_fields) == NUMBERS


def test_a_table_changes_the_defaults_and_a_run_changes_the_table(tmp_path):
    table = load_persona(write(tmp_path / "ada", "min_feedback = 20\ncool_down_s = 60")).file.feedback
    policy = feedback_policy(table, {"api"})
    assert policy == FeedbackPolicy(sources=frozenset({"api"}), min_feedback=20, cool_down_s=60)
    changed = feedback_policy(table, {"api"}, cool_down_s=0, min_feedback=None, burst_size=3)
    assert (changed.min_feedback, changed.cool_down_s, changed.burst_size) == (20, 0, 3)
    assert feedback_policy(FeedbackTable(), FeedbackPolicy().sources) == FeedbackPolicy()


@pytest.mark.parametrize("table", ["max_votes = 3", "max_person_share = 2", 'cool_down_s = "soon"', "burst_size = 0"])
def test_a_bad_rule_in_the_table_gets_a_sentence_that_names_it(tmp_path, table):
    with pytest.raises(InvalidData, match=rf"persona\.toml: feedback\.{table.split()[0]}: "):
        load_persona(write(tmp_path / "ada", table))


@pytest.mark.parametrize("override", [{"min_votes": 3}, {"max_person_share": 0}, {"cool_down_s": float("nan")}])
def test_a_bad_override_gets_a_sentence_that_names_it_and_the_known_ones(override):
    with pytest.raises(InvalidInput, match=rf"cannot be used: {next(iter(override))}: .*; known are min_feedback"):
        feedback_policy(FeedbackTable(), {"api"}, **override)


def test_a_policy_is_json():
    assert json.loads(json.dumps(describe(FeedbackPolicy())))["sources"] == ["api", "author", "playground", "terminal"]
