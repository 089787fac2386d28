"""Writes small persona folders for tests."""

from __future__ import annotations

GOOD_TOML = 'name = "Ada"\ndescription = "Exact."\ngreeting = "Good day."\n'


def write_persona(folder, toml=None, prompt="You are Ada."):
    """A whole persona named as its folder is; `toml` is what persona.toml says instead."""
    toml = GOOD_TOML.replace("Ada", folder.name.title()) if toml is None else toml
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "persona.toml").write_text(toml, encoding="utf-8")
    (folder / "system_prompt.md").write_text(prompt, encoding="utf-8")
    return folder
