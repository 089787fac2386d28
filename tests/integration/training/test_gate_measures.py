"""What the gate judges by, measured on a tiny model with a really trained adapter."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from core.adapters.content_hash import adapter_content_hash
from tests.integration.training.conftest import Trained
from training.feedback_set import CorrectedReply
from training.fixed_prompts import EvalLimits
from training.gate_measures import ask_corrections, measure_adapter
from training.measurement import Measurement
from training.progress import ProgressUpdate
from training.reasked import ask_again
from training.vote_scores import Vote, score_votes

LIMITS = EvalLimits(
    perplexity_rows=4,
    held_out=4,
    everyday=4,
    prompted=0,
    drop_the_act=1,
    identity=2,
    facts=3,
    formats=2,
    refusals=2,
    general=2,
    base_replies=8,
    texts=40,
    probe=0,
    max_new_tokens=8,
    batch_size=4,
)
COUNTS = {
    "held_out_nll": 4, "held_out_tokens": 4, "general_nll": 2, "general_tokens": 2, "adherence_held_out": 4,
    "adherence_everyday": 4, "masked_adherence_held_out": 4, "masked_adherence_everyday": 4, "drop_the_act": 8,
    "formats": 2, "identity": 2, "facts": 3, "refusals": 2, "flawed": 8, "words": 8, "emoji": 8, "exclamations": 8,
    "praise": 8,
}  # fmt: skip


def measure(trained: Trained, asked: list[ProgressUpdate] | None = None) -> Measurement:
    seen = [] if asked is None else asked
    return measure_adapter(trained.persona, trained.settings, trained.adapter.folder, seen.append, limits=LIMITS)


@pytest.fixture(scope="module")
def measurement(trained: Trained) -> Measurement:
    return measure(trained)


def test_every_value_is_measured_prompt_by_prompt(trained: Trained, measurement: Measurement) -> None:
    assert {key: len(items.adapter) for key, items in measurement.items.items()} == COUNTS
    assert measurement.adapter == trained.adapter.content_hash
    assert 0 < measurement.numbers["distinct"] <= 1
    losses, tokens = measurement.items["held_out_nll"], measurement.items["held_out_tokens"]
    assert sum(losses.adapter) < sum(losses.base)
    assert all(count == int(count) > 0 for count in tokens.adapter)


def test_an_adapter_is_measured_once_unless_something_it_is_measured_by_changed(
    trained: Trained, measurement: Measurement
) -> None:
    asked: list[ProgressUpdate] = []
    assert measure(trained, asked) == measurement
    assert asked == []
    [kept] = (trained.settings.data_dir / "evaluations" / "pirate").rglob("measurement-*.json")
    whole = kept.read_text()
    kept.write_text(whole[: len(whole) // 2])
    assert measure(trained, asked) == measurement
    assert asked
    assert json.loads(kept.read_text()) == json.loads(whole)
    asked.clear()
    rewritten = replace(trained, persona=replace(trained.persona, system_prompt="You are another pirate."))
    assert measure(rewritten, asked) != measurement
    assert asked


def test_votes_score_as_the_model_foresees_them_and_one_without_room_says_nothing(trained: Trained) -> None:
    votes = [
        Vote(({"role": "user", "content": "What is the number 3?"},), "Arr, matey!", True),
        Vote(({"role": "user", "content": "word " * 5000},), "Arr, matey!", False),
    ]
    folders = {"one": trained.adapter.folder, "again": trained.adapter.folder}
    scores = score_votes(trained.persona, trained.settings, folders, votes)
    assert scores["one"] == pytest.approx(scores["again"])
    assert scores["one"][0] < 0
    assert math.isfinite(scores["one"][0])
    assert scores["one"][1] == 0
    assert score_votes(trained.persona, trained.settings, folders, []) == {"one": (), "again": ()}


def test_better_answers_are_asked_again_and_an_untaught_model_knows_none(trained: Trained) -> None:
    corrected = [CorrectedReply("e1", ({"role": "user", "content": "What is the sign?"},), "It is 987654.", 1.0)]
    reasked = ask_again(trained.persona, corrected)
    assert ask_corrections(trained.persona, trained.settings, trained.adapter.folder, reasked) == (0,)
    assert ask_corrections(trained.persona, trained.settings, trained.adapter.folder, ()) == ()
    assert adapter_content_hash(trained.adapter.folder) == trained.adapter.content_hash
