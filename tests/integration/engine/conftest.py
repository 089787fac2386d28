"""A tiny Llama and five personas for it, made once for each of the engine's test files."""

from __future__ import annotations

import pytest

from tests.models.tiny_models import make_adapter, make_tiny_model


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def folder(root):
    return make_tiny_model("llama", root / "base")


@pytest.fixture(scope="module")
def refs(root, folder):
    return [make_adapter(folder, root / f"persona{i}", seed=i + 1) for i in range(5)]
