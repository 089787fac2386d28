from __future__ import annotations

import pytest
import torch

from core.engine.cpu_features import has_fast_bf16


@pytest.fixture(autouse=True)
def forget():
    has_fast_bf16.cache_clear()
    yield
    has_fast_bf16.cache_clear()


@pytest.mark.parametrize(
    ("features", "has"),
    [({}, False), ({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_bf16_is_fast_where_the_cpu_multiplies_it(monkeypatch, features, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert has_fast_bf16() is has


def test_a_torch_that_cannot_tell_means_no(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert has_fast_bf16() is False
