from __future__ import annotations

import math

import pytest
import torch

from core.engine import half_weights
from core.engine.half_weights import can_halve, fits_fp16, is_faster_in_half, measure_half

LARGE = (400, 300)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 0.02, 0.002])
def test_weights_that_were_published_in_16_bit_fit(dtype, scale):
    torch.manual_seed(0)
    assert fits_fp16((torch.randn(LARGE) * scale).to(dtype).float())


@pytest.mark.parametrize(
    "weight",
    [
        pytest.param(torch.linspace(-1, 1, 120_000).view(LARGE), id="published in fp32"),
        pytest.param(torch.full(LARGE, 1e5).bfloat16().float(), id="too large for fp16"),
        pytest.param((torch.linspace(-1, 1, 120_000).view(LARGE) * 1e-6).bfloat16().float(), id="too small for fp16"),
        pytest.param(torch.full(LARGE, math.nan), id="no numbers"),
        pytest.param(torch.full(LARGE, math.inf), id="infinite"),
    ],
)
def test_weights_that_would_lose_something_do_not_fit(weight):
    assert not fits_fp16(weight)


def test_one_large_layer_is_looked_at_to_its_end():
    weight = torch.ones(2 * half_weights.ROWS_AT_ONCE + 1, 8)
    assert fits_fp16(weight)
    weight[-1] = 1 / 3 * 1e4  # whose rounding counts beside thousands of ones
    assert not fits_fp16(weight)


def test_a_weight_of_zeros_fits():
    assert fits_fp16(torch.zeros(LARGE))


@pytest.mark.parametrize(("speed", "is_chosen"), [(1.6, True), (0.9, False)])
def test_half_is_chosen_where_it_was_measured_to_be_faster(speed, is_chosen, monkeypatch):
    monkeypatch.setattr(half_weights, "can_halve", lambda: True)
    monkeypatch.setattr(half_weights, "measure_half", lambda: speed)
    assert is_faster_in_half(torch.ones(LARGE)) is is_chosen


def never():
    raise AssertionError("nobody should have measured this")


@pytest.mark.parametrize(
    ("weight", "can"),
    [
        pytest.param(torch.ones(100, 100), True, id="small"),
        pytest.param(torch.ones(LARGE, dtype=torch.bfloat16), True, id="bf16"),
        pytest.param(torch.linspace(-1, 1, 120_000).view(LARGE), True, id="published in fp32"),
        pytest.param(torch.ones(LARGE), False, id="a processor that cannot"),
    ],
)
def test_nothing_is_measured_for_weights_that_cannot_be_halved(weight, can, monkeypatch):
    monkeypatch.setattr(half_weights, "can_halve", lambda: can)
    monkeypatch.setattr(half_weights, "measure_half", never)
    assert not is_faster_in_half(weight)


@pytest.mark.skipif(not can_halve(), reason="this processor or torch does not multiply with fp16 weights")
def test_the_speed_is_really_measured():
    assert measure_half() > 0


def test_a_torch_without_the_operator_halves_nothing(monkeypatch):
    monkeypatch.setattr(half_weights, "pack_in_half", lambda weight, bias: torch.ops.quantized.no_such_operator(weight))
    can_halve.cache_clear()
    try:
        assert not can_halve()
    finally:
        can_halve.cache_clear()
