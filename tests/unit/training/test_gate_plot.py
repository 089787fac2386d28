"""The plot of a verdict: where each number stands on the common scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.examples.measurements import measured, ones
from training.gate import decide
from training.gate_plot import SHOWN, allowance_used, save_verdict
from training.gate_policy import GatePolicy, Recall, VoteRewards

VOTES = VoteRewards((True,) * 10 + (False,) * 10, (1.0,) * 10 + (-1.0,) * 10, (0.0,) * 20)


@pytest.mark.parametrize("is_good", [True, False])
def test_a_number_lies_within_its_allowance_exactly_where_the_gate_lets_it_pass(is_good: bool):
    """All but the bounds of losses, which are drawn as bars, and habits, which chance may excuse."""
    worse = {} if is_good else {"general_nll": (44.0,) * 40, "distinct": 0.4, "facts": ones(0.5)}
    recall = Recall((3, 3, 3, 3, 3 if is_good else 0), (0, 0, 0, 0, 0))
    verdict = decide(GatePolicy(), measured(**worse), measured("b"), VOTES, recall)
    assert verdict.passed is is_good
    for check in verdict.to_dict()["checks"]:
        if check["value"] is not None and check["limit"] is not None:
            worst = check["value"] if check["interval"] is None else max(check["interval"])
            assert (allowance_used(check, worst) <= 1) is check["is_met"], check["key"]


def test_a_verdict_is_kept_as_json_and_as_a_picture(tmp_path: Path):
    verdict = decide(GatePolicy(), measured(facts=ones(0.0)), measured("b"), VOTES)
    report = verdict.to_dict()
    facts = next(check for check in report["checks"] if check["key"] == "facts")
    assert allowance_used(facts, facts["value"]) > SHOWN[1]  # drawn at the edge
    save_verdict(report, "zen@2 on smollm2", tmp_path)
    assert json.loads((tmp_path / "gate.json").read_text()) == report
    with Image.open(tmp_path / "gate.png") as image:
        assert image.size[0] > 1000
        assert len(set(image.convert("L").get_flattened_data())) > 10


def test_a_folder_that_takes_no_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    save_verdict(decide(GatePolicy(), measured(), measured("b"), VOTES).to_dict(), "zen@2", tmp_path / "gone")
    assert "The gate's plot is not kept" in caplog.text
