"""The trials of rollouts run from end to end on a toy model; what they measure there means nothing."""

from __future__ import annotations

import json

import pytest

from benchmarks import rollout_trial, shadow_cost
from tests.models.tiny_models import make_tiny_model
from tests.models.tiny_personas import tiny_settings

BREAKS = "1e38"  # numbers that are none in every layer


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    made = tiny_settings(tmp_path, make_tiny_model("llama", tmp_path / "base"), "zen", "noir", slots=8)
    for benchmark in (rollout_trial, shadow_cost):
        monkeypatch.setattr(benchmark, "load_settings", lambda: made)
    return made


def figures(benchmark, tmp_path, *options: str) -> tuple[int, dict]:
    status = benchmark.main([*options, "--json", str(tmp_path / "figures.json")])
    return status, json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))


def test_a_broken_version_is_met_by_nobody_and_a_disliked_one_goes_back_by_thumbs(tmp_path, capsys):
    wanted = ("--shadow-replies", "3", "--people", "30", "--max-tokens", "6", "--likes", "0", "1")
    status, report = figures(rollout_trial, tmp_path, "zen", *wanted, "--broken", BREAKS, "--nearly", "1.001")
    broken, nearly = report["broken"], report["nearly"]
    assert (broken["standing"]["outcome"], broken["met"], broken["replies_in_canary"]) == ("rolled_back", 0, 0)
    assert "unseen replies ended with an error" in broken["standing"]["reason"]
    assert "People like it less: 0 of " in nearly["standing"]["reason"]
    assert nearly["met"] == sum(nearly["standing"]["thumbs"]["challenger"][side] for side in ("up", "down")) > 0
    assert status == rollout_trial.AS_PLANNED
    assert "| **replies of the challenger that a person got** | **0** | **" in capsys.readouterr().out


def test_a_challenger_that_meets_people_against_the_plan_is_said_by_the_status(tmp_path):
    wanted = ("--shadow-replies", "0", "--people", "30", "--max-tokens", "6", "--likes", "0", "1")
    status, report = figures(rollout_trial, tmp_path, "zen", *wanted, "--broken", "0.5", "--nearly", "1.001")
    assert report["broken"]["met"] > 0
    assert status == rollout_trial.OTHERWISE


def test_what_an_unseen_reply_costs_is_measured_beside_the_same_rows_without_it(tmp_path, capsys):
    _, report = figures(shadow_cost, tmp_path, "--rows", "2", "--rounds", "2", "--max-tokens", "24")
    assert report["personas"] == ["noir", "zen"]
    assert report["rounds"] == 2
    assert all(report["step_ms"][mode]["median"] > 0 for mode in shadow_cost.MODES)
    assert report["ratio"][shadow_cost.BEFORE]["median"] == 1
    assert "| with an unseen reply | 3 | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("benchmark", "options", "words"),
    [
        (shadow_cost, ["--rows", "4"], "Only 2 personas have an adapter"),
        (rollout_trial, ["nobody"], "nobody"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_sentence(benchmark, options, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(options)
    assert words in capsys.readouterr().err
