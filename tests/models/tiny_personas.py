"""Personas whose adapters fit a tiny random model, and the settings to serve them greedily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.settings import Settings
from tests.models.tiny_models import make_adapter
from tests.running.serving import write_persona


def tiny_settings(folder: Path, model: Path, *slugs: str, **settings: Any) -> Settings:
    """Settings below this folder. All personas have the same system prompt, so the adapters alone tell them apart."""
    given = {"drain_timeout_s": 0, "device": "cpu", "dtype": "float32", **settings}
    made = Settings(data_dir=folder / "data", dir=folder / "personas", base_model=str(model), **given)
    for number, slug in enumerate(slugs, start=1):
        persona = folder / "personas" / slug
        write_persona(persona, slug.title(), "🤖")
        (persona / "system_prompt.md").write_text("Talk.", encoding="utf-8")
        with (persona / "persona.toml").open("a", encoding="utf-8") as file:
            file.write("\n[sampling]\ntemperature = 0.0\n")
        make_adapter(model, persona / "adapters" / made.base_slug, seed=number)
    return made
