"""Adapters that could never be served: the doctor names them and no promotion takes them, long before a reply."""

from __future__ import annotations

import json

import pytest

from tests.command import TORCH_FREE, assert_one_sentence, personas
from tests.serving import write_personas
from tests.store_examples import write_adapter


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path):
    return write_personas(tmp_path / "personas")


def pickled(adapter):
    (adapter / "adapter_model.bin").write_bytes(b"a pickle")


def foreign(adapter):
    (adapter / "lineage.json").write_text(json.dumps({"base_model_fingerprint": "cd" * 32}))


@pytest.mark.parametrize(
    ("spoil", "part"), [(pickled, "adapter_model.bin, a format that can run code"), (foreign, "another base model")]
)
def test_the_doctor_and_a_promotion_refuse_it_without_torch(spoil, part, data_dir, folder):
    spoil(folder / "zen" / "adapters" / "demo")
    trained = write_adapter(data_dir / "adapters" / "zen" / "demo" / "trained", b"trained")
    (trained / "lineage.json").write_text("{}")
    spoil(trained)
    given = {"data_dir": data_dir, "without": TORCH_FREE, "PERSONAS_DIR": str(folder), "PERSONAS_PORT": "0"}
    found = [line for line in personas("doctor", **given).stdout.splitlines() if "adapter " in line]
    assert [line.split()[0] for line in found] == ["ok", "fail"]
    assert "zen@1" in found[1] and part in found[1]
    assert_one_sentence(personas("promote", "zen", "2", "--force", **given), "zen@2", part, status=1)
    assert "zen@1 " in personas("list", **given).stdout
