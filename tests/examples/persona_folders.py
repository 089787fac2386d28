"""Writes small persona folders for tests."""

from __future__ import annotations

GOOD_TOML = 'name = "Ada"\ndescription = "Exact."\ngreeting = "Good day."\n'


def write_persona(folder, toml=GOOD_TOML, prompt="You are Ada."):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "persona.toml").write_text(toml, encoding="utf-8")
    (folder / "system_prompt.md").write_text(prompt, encoding="utf-8")
    return folder
