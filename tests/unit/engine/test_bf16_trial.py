from __future__ import annotations

import math

import pytest
import torch

from core.engine.bf16_trial import Agreement, compare_logits, judge_bf16
from core.errors import InvalidInput

AGREES = Agreement(tokens=60, same=58, deviation=0.05)


def never():
    raise AssertionError("nobody should have measured this")


def raising(error):
    def measure():
        raise error

    return measure


def test_a_cpu_without_bf16_serves_in_fp32_and_nothing_is_measured():
    verdict = judge_bf16(False, never, never)
    assert verdict.dtype == torch.float32
    assert "does not multiply bf16 in hardware" in verdict.reason


def test_bf16_that_is_hardly_faster_is_not_worth_its_rounding():
    verdict = judge_bf16(True, lambda: 1.1, never)
    assert verdict.dtype == torch.float32
    assert "only 1.10 times as fast" in verdict.reason


def test_bf16_is_chosen_where_it_is_faster_and_the_model_agrees():
    verdict = judge_bf16(True, lambda: 1.9, lambda: AGREES)
    assert verdict.dtype == torch.bfloat16
    assert verdict.reason == "1.9 times as fast as fp32 here, and 58 of 60 tokens of a test reply stay the same"


@pytest.mark.parametrize(
    "found", [Agreement(60, 53, 0.05), Agreement(60, 58, 0.11), Agreement(60, 60, math.nan), Agreement(60, 0, math.inf)]
)
def test_a_model_that_means_something_else_in_bf16_stays_in_fp32(found):
    verdict = judge_bf16(True, lambda: 1.9, lambda: found)
    assert verdict.dtype == torch.float32
    assert f"keeps {found.same} of 60 tokens" in verdict.reason


@pytest.mark.parametrize("error", [RuntimeError("no kernel\nfor bf16"), NotImplementedError("no kernel")])
def test_an_operation_without_bf16_means_fp32(error):
    for verdict in (judge_bf16(True, raising(error), never), judge_bf16(True, lambda: 1.9, raising(error))):
        assert verdict.dtype == torch.float32
        assert verdict.reason == "bf16 cannot be used here: no kernel"


def test_a_chat_template_that_refuses_the_test_reply_means_fp32():
    verdict = judge_bf16(True, lambda: 1.9, raising(InvalidInput("The model's chat template refuses this.")))
    assert verdict.dtype == torch.float32


def test_logits_are_compared_by_their_likeliest_token_and_their_spread():
    expected = torch.tensor([[0.0, 2.0, 4.0], [3.0, 1.0, -1.0]])
    assert compare_logits(expected, expected) == Agreement(2, 2, 0.0)
    other = expected.clone()
    other[1] = torch.tensor([1.0, 3.0, -1.0])
    found = compare_logits(expected, other)
    assert (found.tokens, found.same) == (2, 1)
    assert found.deviation == pytest.approx((4 / 3) / 2 / 2)
