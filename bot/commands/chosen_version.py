"""The adapter version that a command is about: the one that was named, else the one that answers now."""

from __future__ import annotations

from bot.commands.advice import train_command
from bot.service.storage import open_storage
from core.adapters.registry import RegisteredAdapter
from core.errors import NotFound
from core.personas import Persona, find_persona
from core.settings import Settings


async def find_version(slug: str, version: int | None, settings: Settings) -> tuple[Persona, RegisteredAdapter]:
    """The persona and its version. Raises NotFound."""
    async with open_storage(settings) as storage, storage.store.read() as session:
        persona = find_persona(storage.personas, slug)
        if version is not None:
            return persona, await storage.registry.get(session, persona.slug, settings.base_slug, version)
        champion = await storage.registry.champion(session, persona.slug, settings.base_slug)
    if champion is None:
        raise NotFound(
            f"{persona.slug} has no adapter that answers on {settings.base_model}; train one with"
            f" `{train_command(persona.slug, settings.base_model)}`, or name one with --version."
        )
    return persona, champion
