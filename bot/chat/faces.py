"""Who answers, as people see it: name, title, greeting and picture of a blend."""

from __future__ import annotations

from collections.abc import Mapping

from bot.chat.graphemes import shortened
from bot.chat.personas import describe
from core.blends import parse_blend
from core.personas import Persona

MAX_NAME_CHARS = 80  # of a webhook on Discord, and of a user name on Slack
MAX_CATCHPHRASES = 5


def header(title: str) -> str:
    """What stands above a persona's reply where nothing else shows who speaks."""
    return f"**{title}**"


class Faces:
    def __init__(self, personas: Mapping[str, Persona]) -> None:
        self._personas = personas

    def title(self, model: str) -> str:
        """Who answers, with face and strength: "🏴 Captain Codebeard at 50 %"."""
        return describe(self._personas, model)

    def name(self, model: str) -> str:
        """Who answers, as a name."""
        slugs = [part.slug for part in parse_blend(model).parts]
        names = [self._personas[slug].name for slug in slugs if slug in self._personas]
        return shortened(" + ".join(names), MAX_NAME_CHARS) or "Base model"

    def greeting(self, model: str) -> str:
        """What the heaviest persona of a blend says when it is called by name and nothing else."""
        persona = self._heaviest(model)
        return "Hello! What would you like to talk about?" if persona is None else persona.file.greeting

    def emoji(self, model: str) -> str | None:
        """The face of the heaviest persona of a blend; None for the base model."""
        persona = self._heaviest(model)
        return None if persona is None else persona.file.emoji

    def catchphrases(self, model: str) -> list[str]:
        """What the heaviest persona says while it thinks."""
        persona = self._heaviest(model)
        return [] if persona is None else list(persona.file.catchphrases[:MAX_CATCHPHRASES])

    def avatar(self, model: str) -> bytes | None:
        """The picture of the heaviest persona that has one. Reads a file."""
        for part in parse_blend(model).parts:
            persona = self._personas.get(part.slug)
            if persona is not None and (picture := persona.read_avatar()) is not None:
                return picture
        return None

    def _heaviest(self, model: str) -> Persona | None:
        parts = parse_blend(model).parts
        return self._personas.get(parts[0].slug) if parts else None
