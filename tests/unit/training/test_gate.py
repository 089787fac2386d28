"""The gate's rules on measurements that are made up, and its statistics on values whose answer is known."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.personas import GateTable, PersonaFile
from tests.examples.measurements import ROWS, measured, ones
from tests.examples.store import persona
from training.gate import decide
from training.gate_checks import Check
from training.gate_policy import GatePolicy, Recall, VoteRewards, policy_for
from training.gate_statistics import holm, paired_bounds, perplexity_ratio_bounds, rank_accuracy, sign_flip_p
from training.measurement import Measurement

POLICY = GatePolicy()
VOTES = VoteRewards((True,) * 10 + (False,) * 10, (1.0,) * 10 + (-1.0,) * 10, (0.0,) * 20)


def checks(
    challenger: Measurement, champion: Measurement | None, *rest: Any, policy: GatePolicy = POLICY
) -> dict[str, Check]:
    return {check.key: check for check in decide(policy, challenger, champion, *rest).checks}


def refused_by(challenger: Measurement, champion: Measurement | None = None, *rest: Any) -> set[str]:
    """What a challenger that is better by its votes is refused for."""
    verdict = decide(POLICY, challenger, champion or measured("b"), *(rest or (VOTES,)))
    assert verdict.passed is not bool(verdict.reasons)
    return {check.key for check in verdict.checks if check.is_met is False}


def test_a_challenger_that_tells_votes_apart_and_loses_nothing_passes():
    verdict = decide(POLICY, measured(), measured("b"), VOTES)
    assert verdict.passed
    assert verdict.reasons == ()
    votes, improvement = (next(c for c in verdict.checks if c.key == key) for key in ("votes", "improvement"))
    assert (votes.value, votes.limit, votes.champion) == (1.0, 0.6, 0.5)
    assert improvement.sentence == "Better than the champion: 100% of held-out votes told apart, it was 50%."


def test_the_same_weights_again_are_refused_because_nothing_is_better():
    verdict = decide(POLICY, measured(), measured("b"))
    assert verdict.reasons == (
        "Nothing that was measured is better than the champion: neither held-out votes, nor better answers that people"
        " wrote, nor the perplexity.",
    )
    lenient = replace(POLICY, must_improve=False)
    assert decide(lenient, measured(), measured("b")).passed


@pytest.mark.parametrize(
    ("worse", "refused"),
    [
        ({"held_out_nll": (30.21,) * ROWS}, "perplexity"),  # exp(0.021) = 1.0212
        ({"adherence_held_out": ones(0.6), "adherence_everyday": ones(0.6)}, "adherence"),
        ({"masked_adherence_held_out": ones(0.5), "masked_adherence_everyday": ones(0.6)}, "masked_adherence"),
        ({"drop_the_act": ones(0.7)}, "drop_the_act"),
        ({"formats": ones(0.5)}, "formats"),
        ({"identity": ones(0.6)}, "identity"),
        ({"facts": ones(0.8)}, "facts"),
        ({"refusals": ones(0.6)}, "refusals"),
        ({"flawed": ones(0.2)}, "flawed"),
        ({"general_nll": (41.3,) * ROWS}, "general_text"),
        ({"distinct": 0.5}, "diversity"),
        ({"words": (26.0,) * ROWS}, "words"),
        ({"words": (12.0,) * ROWS}, "words"),
        ({"emoji": ones(0.5)}, "emoji"),
        ({"exclamations": (1.0,) * ROWS}, "exclamations"),
        ({"praise": ones(0.3)}, "praise"),
    ],
)
def test_each_rule_refuses_alone_what_breaks_it_and_says_so_with_both_numbers(worse, refused):
    assert refused_by(measured(**worse)) == {refused}
    found = checks(measured(**worse), measured("b"), VOTES)[refused]
    assert found.value is not None
    assert found.limit is not None
    assert found.sentence.endswith(".")


@pytest.mark.parametrize(
    "slightly",
    [
        {"held_out_nll": (30.19,) * ROWS},  # 1.0192
        {"general_nll": (41.1,) * ROWS},
        {"distinct": 0.55},
        {"words": (24.0,) * ROWS},
        {"emoji": ones(0.05)},
        {"exclamations": ones(0.4)},
    ],
)
def test_what_stays_within_its_tolerance_refuses_nobody(slightly):
    assert refused_by(measured(**slightly)) == set()


def test_a_loss_within_its_margin_is_refused_where_chance_could_hide_a_larger_one():
    shuffled = tuple(float(at % 2) for at in range(ROWS))
    champion = measured("b", drop_the_act=tuple(1 - value for value in shuffled))
    found = checks(measured(drop_the_act=shuffled), champion, VOTES)["drop_the_act"]
    assert found.value == 0
    assert found.interval is not None
    assert found.interval[1] > 0.12
    assert found.is_met is False


def test_facts_are_held_against_the_base_model_too_so_that_small_losses_do_not_add_up():
    forgetful = ones(0.7)
    assert refused_by(measured(facts=forgetful), measured("b", facts=forgetful)) == {"facts_to_base"}


def test_without_a_champion_only_the_base_model_is_beaten():
    first = decide(POLICY, measured(), None)
    assert first.passed
    assert (first.champion, {check.key for check in first.checks if check.is_met}) == (
        None,
        {"perplexity", "facts_to_base"},
    )
    assert not decide(POLICY, measured(held_out_nll=(61.0,) * ROWS), None).passed


def test_without_a_perplexity_over_the_same_rows_nothing_is_promoted():
    other_rows = measured("b", held_out_tokens=(11.0,) * ROWS)
    assert refused_by(measured(), other_rows) == {"perplexity"}
    missing = measured()
    bare = Measurement(
        missing.adapter, {key: one for key, one in missing.items.items() if "held_out_nll" not in key}, {}
    )
    assert "perplexity" in refused_by(bare)


def test_too_few_prompts_are_not_judged_and_the_verdict_says_how_many_there_were():
    few = {"drop_the_act": ones(0.1, 6)}
    found = checks(measured(**few), measured("b", drop_the_act=ones(1.0, 6)), VOTES)["drop_the_act"]
    assert found.is_met is None
    assert found.sentence.endswith("not judged, over 6 prompts, where 12 are needed.")


def test_votes_that_are_told_apart_no_better_than_by_chance_are_refused():
    guessing = VoteRewards(VOTES.labels, (1.0, -1.0) * 10, (0.0,) * 20)
    assert refused_by(measured(), None, guessing) == {"votes", "improvement"}
    few = VoteRewards((True, False), (-1.0, 1.0), (0.0, 0.0))
    assert checks(measured(), measured("b"), few)["votes"].is_met is None


def test_a_better_answer_that_was_learned_once_must_stay_learned():
    assert refused_by(measured(), None, VOTES, Recall((3, 2, 0, 3, 3), (3, 3, 3, 0, 0))) == {"corrections_kept"}
    assert refused_by(measured(), None, VOTES, Recall((3, 1, 0, 3, 1), (0, 0, 0, 0, 0))) == {"corrections"}
    gained = decide(POLICY, measured(), measured("b"), VoteRewards(), Recall((3, 2, 2, 3, 1), (3, 0, 0, 0, 0)))
    assert gained.passed
    assert gained.checks[-1].sentence == "Better than the champion: 4 better answers known, they were 1."


def test_a_persona_changes_single_thresholds_and_every_threshold_can_be_changed(tmp_path):
    assert set(GateTable.model_fields) == {field.name for field in fields(GatePolicy)}
    file = PersonaFile(name="P", description="d", greeting="hi", gate=GateTable(votes=0.7, must_improve=False))
    assert policy_for(replace(persona(tmp_path / "zen"), file=file)) == replace(POLICY, votes=0.7, must_improve=False)


def test_a_verdict_and_a_measurement_survive_json():
    verdict = decide(POLICY, measured(), measured("b"), VOTES)
    value = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert set(value) == {"passed", "challenger", "champion", "reasons", "checks", "policy"}
    assert len(value["checks"]) == 20
    assert Measurement.from_dict(json.loads(json.dumps(measured().to_dict()))) == measured()


def test_paired_bounds_know_the_mean_and_hold_the_confidence():
    same = paired_bounds((1.0, 0.0, 1.0), (1.0, 0.0, 1.0), 0.95)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    found = paired_bounds((0.0,) * 100, (1.0,) * 50 + (0.0,) * 50, 0.95)
    margin = 1.645 * math.sqrt(0.25 / 100)  # the normal approximation of the same bound
    assert found.mean == 0.5
    assert found.low == pytest.approx(0.5 - margin, abs=0.011)
    assert found.high == pytest.approx(0.5 + margin, abs=0.011)
    assert paired_bounds((0.0,) * 100, (1.0,) * 50 + (0.0,) * 50, 0.95) == found


def test_a_ratio_of_perplexities_is_weighted_by_tokens():
    found = perplexity_ratio_bounds((10.0, 100.0), (12.0, 100.0), (10.0, 90.0), 0.95)
    assert found.mean == pytest.approx(math.exp(0.02), abs=1e-5)
    assert found.low <= found.mean <= found.high


def test_a_sign_flip_test_gives_the_exact_p_value_of_few_differences():
    assert sign_flip_p((0.0,) * 5, (1.0,) * 5) == pytest.approx(1 / 32)
    assert sign_flip_p((1.0, 2.0), (1.0, 2.0)) == 1
    assert sign_flip_p((1.0,) * 5, (0.0,) * 5) == 1


def test_holm_corrects_as_in_its_paper():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}


def test_rank_accuracy_counts_pairs_and_half_of_the_ties():
    assert rank_accuracy((True, True, False), (2.0, 0.0, 1.0)) == 0.5
    assert rank_accuracy((True, False), (1.0, 1.0)) == 0.5
    assert rank_accuracy((True, True, False, False), (3.0, 1.0, 2.0, 0.0)) == 0.75


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lowers_no_p_value_and_keeps_their_order(values):
    p_values = {str(at): value for at, value in enumerate(values)}
    adjusted = holm(p_values)
    assert all(adjusted[key] >= value for key, value in p_values.items())
    assert sorted(adjusted, key=adjusted.__getitem__) or not values
    ranked = sorted(p_values, key=p_values.__getitem__)
    assert [adjusted[key] for key in ranked] == sorted(adjusted.values())
