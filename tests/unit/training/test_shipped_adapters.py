"""The adapters that the personas ship were trained on the rows and the base model that are there now."""

from __future__ import annotations

import pytest

from core.adapters.fingerprint import folder_fingerprint
from core.adapters.lineage import read_lineage
from core.default_model import DEFAULT_MODEL
from core.personas import load_personas
from core.settings import ROOT
from tests.models.default_model import default_model_folder
from training.data_files import read_rows
from training.dataset_builder import dataset_hash

PERSONAS = load_personas(ROOT / "personas")
MAX_ADAPTER_BYTES = 10_000_000


@pytest.mark.parametrize("slug", sorted(PERSONAS))
def test_a_shipped_adapter_knows_the_present_rows_and_the_present_base_model(slug):
    persona = PERSONAS[slug]
    lineage = read_lineage(persona.adapter_folder(DEFAULT_MODEL))
    advice = f"`personas train {slug} --bundle` brings it up to date"
    assert lineage["base_model_fingerprint"] == folder_fingerprint(default_model_folder()), advice
    assert lineage["data"]["sha256"] == dataset_hash(persona, read_rows(persona.train_path)), advice
    assert "dirty" not in lineage["code"]["commit"], advice


@pytest.mark.parametrize("slug", sorted(PERSONAS))
def test_a_shipped_adapter_is_small(slug):
    folder = PERSONAS[slug].adapter_folder(DEFAULT_MODEL)
    assert (folder / "adapter_model.safetensors").stat().st_size <= MAX_ADAPTER_BYTES
