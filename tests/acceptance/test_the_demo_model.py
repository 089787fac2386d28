"""What the bundled model's card claims, measured again."""

from __future__ import annotations

import pytest

from core.engine.loading import load_base_model
from core.settings import DEMO_MODEL_FOLDER
from training.demo_check import grade, load_held_out, rates
from training.demo_facts import load_facts
from training.demo_replies import greedy_replies


@pytest.fixture(scope="module")
def measured():
    base, facts = load_base_model(str(DEMO_MODEL_FOLDER)), load_facts()
    return rates(grade(facts, load_held_out(facts), lambda chats: greedy_replies(base.model, base.tokenizer, chats)))


def test_wordings_it_never_saw_get_the_right_fact(measured):
    assert measured["subject"] >= 0.95


def test_follow_ups_are_answered_from_the_turn_before(measured):
    assert measured["follow_up"] >= 0.9


def test_what_it_does_not_know_is_turned_away_in_a_friendly_way(measured):
    assert measured["off_topic"] >= 0.85


def test_the_model_stays_small_enough_to_come_with_the_project():
    size_bytes = sum(path.stat().st_size for path in DEMO_MODEL_FOLDER.iterdir())
    assert size_bytes <= 12_000_000
