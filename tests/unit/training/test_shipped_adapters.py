"""The adapters that the personas ship were trained on the rows and the base model that are shipped with them."""

from __future__ import annotations

import pytest

from core.engine.fingerprint import folder_fingerprint
from core.personas import load_personas
from core.registry import read_lineage
from core.settings import DEMO_MODEL, DEMO_MODEL_FOLDER, ROOT
from training.dataset_builder import dataset_hash, training_rows

PERSONAS = load_personas(ROOT / "personas")


@pytest.mark.parametrize("slug", sorted(PERSONAS))
def test_a_shipped_adapter_knows_the_present_rows_and_the_present_base_model(slug):
    persona = PERSONAS[slug]
    lineage = read_lineage(persona.adapter_folder(DEMO_MODEL))
    advice = f"`personas train {slug} --bundle` brings it up to date"
    assert lineage["base_model_fingerprint"] == folder_fingerprint(DEMO_MODEL_FOLDER), advice
    assert lineage["data"]["sha256"] == dataset_hash(persona, training_rows(persona, DEMO_MODEL)), advice
