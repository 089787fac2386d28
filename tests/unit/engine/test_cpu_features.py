from __future__ import annotations

import pytest
import torch

from core.engine.cpu_features import has_fast_bf16


@pytest.fixture(autouse=True)
def probe_anew():
    has_fast_bf16.cache_clear()
    yield
    has_fast_bf16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_bf16_is_fast_where_avx512_or_amx_multiplies_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_fast_bf16() is expected


def test_a_torch_that_cannot_tell_means_no(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert has_fast_bf16() is False


def test_the_probe_of_this_machine_answers():
    assert has_fast_bf16() in (True, False)
