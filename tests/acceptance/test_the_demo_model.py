"""What the bundled model's card claims, measured again."""

from __future__ import annotations

import json

import pytest

from core.engine.loading import load_base_model
from core.settings import DEMO_MODEL_FOLDER
from training.demo_card import FIGURES_FILE, KINDS
from training.demo_check import measure
from training.demo_facts import HELD_OUT_FILES, load_facts
from training.demo_replies import greedy_replies

CLAIMED = json.loads((DEMO_MODEL_FOLDER / FIGURES_FILE).read_text(encoding="utf-8"))
# Two machines may round a close call differently; more than this is another model.
TOLERANCE = 0.01
FLOOR = 0.95


@pytest.fixture(scope="module")
def measured():
    base, facts = load_base_model(str(DEMO_MODEL_FOLDER)), load_facts()
    return measure(facts, lambda chats: greedy_replies(base.model, base.tokenizer, chats))


@pytest.mark.parametrize("name", HELD_OUT_FILES)
def test_the_card_s_figures_are_true(measured, name):
    assert measured[name]["questions"] == CLAIMED[name]["questions"]
    assert set(measured[name]["right"]) == set(CLAIMED[name]["right"]) == set(KINDS)
    for kind, rate in CLAIMED[name]["right"].items():
        assert abs(measured[name]["right"][kind] - rate) <= TOLERANCE, kind


@pytest.mark.parametrize("name", HELD_OUT_FILES)
def test_questions_in_wordings_it_never_saw_get_the_right_fact(measured, name):
    assert measured[name]["right"]["subject"] >= FLOOR


def test_the_card_shows_the_figures_and_says_that_it_is_a_demo():
    card = (DEMO_MODEL_FOLDER / "README.md").read_text(encoding="utf-8")
    assert "It is a demo and not an assistant" in card and "PERSONAS_BASE_MODEL=" in card
    assert all(f"{rate:.1%}" in card for figures in CLAIMED.values() for rate in figures["right"].values())


def test_the_model_stays_small_enough_to_come_with_the_project():
    size_bytes = sum(path.stat().st_size for path in DEMO_MODEL_FOLDER.iterdir())
    assert size_bytes <= 12_000_000
