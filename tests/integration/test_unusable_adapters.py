"""Adapters that could never be served: the doctor names them and no promotion takes them, long before a reply."""

from __future__ import annotations

import json

import pytest

from core.base_names import base_slug
from tests.examples.store import write_adapter
from tests.models.default_model import seed_default_model
from tests.running.command import TORCH_FREE, assert_one_sentence, personas
from tests.running.serving import write_personas


@pytest.fixture
def data_dir(tmp_path):
    """A data folder in which the default model was served before: only then its fingerprint is known without torch."""
    seed_default_model(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path):
    return write_personas(tmp_path / "personas")


def pickled(adapter):
    (adapter / "adapter_model.bin").write_bytes(b"a pickle")


def foreign(adapter):
    (adapter / "lineage.json").write_text(json.dumps({"base_model_fingerprint": "cd" * 32}))


spoilt = pytest.mark.parametrize(
    ("spoil", "part"), [(pickled, "adapter_model.bin, a format that can run code"), (foreign, "another base model")]
)


@spoilt
def test_the_doctor_and_a_promotion_refuse_it_without_torch(spoil, part, data_dir, folder):
    spoil(folder / "zen" / "adapters" / "smollm2")
    trained = write_adapter(data_dir / "adapters" / "zen" / "smollm2" / "trained", b"trained")
    (trained / "lineage.json").write_text("{}")
    spoil(trained)
    given = {"data_dir": data_dir, "without": TORCH_FREE, "PERSONAS_DIR": str(folder), "PERSONAS_PORT": "0"}
    found = [line for line in personas("doctor", **given).stdout.splitlines() if "adapter " in line]
    assert [line.split()[0] for line in found] == ["ok", "fail"]
    assert "zen@1" in found[1] and part in found[1]
    assert_one_sentence(personas("promote", "zen", "2", "--force", **given), "zen@2", part, status=1)
    assert "zen@1 " in personas("list", **given).stdout


@spoilt
def test_no_rollback_returns_to_it(spoil, part, data_dir, folder):
    given = {"data_dir": data_dir, "without": TORCH_FREE, "PERSONAS_DIR": str(folder)}
    trained = write_adapter(data_dir / "adapters" / "zen" / "smollm2" / "trained", b"trained")
    (trained / "lineage.json").write_text("{}")
    assert personas("promote", "zen", "2", "--force", **given).returncode == 0
    spoil(folder / "zen" / "adapters" / "smollm2")
    assert_one_sentence(personas("rollback", "zen", **given), "zen@1", part, status=1)
    assert "zen@2 " in personas("list", **given).stdout


def test_a_broken_shipped_adapter_of_one_persona_stops_no_command(data_dir, folder):
    (folder / "zen" / "adapters" / "smollm2" / "adapter_model.safetensors").unlink()
    given = {"data_dir": data_dir, "without": TORCH_FREE, "PERSONAS_DIR": str(folder)}
    listed = personas("list", **given)
    assert listed.returncode == 0
    assert "codebeard@1 " in listed.stdout and "system prompt only: personas train zen" in listed.stdout
    [said] = (line for line in listed.stderr.splitlines() if "not registered" in line)
    assert "has no readable adapter_model.safetensors" in said


def test_the_doctor_finds_the_adapters_of_a_model_folder_that_has_moved(data_dir, folder):
    given = {"data_dir": data_dir, "without": TORCH_FREE, "PERSONAS_DIR": str(folder), "PERSONAS_PORT": "0"}
    here, there = "/models/tiny", "/elsewhere/tiny"
    trained = write_adapter(data_dir / "adapters" / "zen" / base_slug(here) / "trained", b"trained")
    (trained / "lineage.json").write_text("{}")
    renamed = trained.parent.with_name(base_slug(there))
    advice = f"If the model has moved, rename {trained.parent} to {renamed.name}."
    assert personas("doctor", "--base", there, **given).stdout.count(advice) == 1
    trained.parent.rename(renamed)
    assert "zen@1 " in personas("versions", "zen", "--base", there, **given).stdout
    assert "If the model has moved" not in personas("doctor", "--base", there, **given).stdout
