"""What people are told about each persona there is: who answers for it, how well, and how it was judged. No SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.chat.adapter_cards import evaluation_text, thumbs_text
from core.adapters.registry import Registry
from core.personas import Persona
from core.store import feedback
from core.store.db import Store


@dataclass(frozen=True, slots=True)
class PersonaCard:
    """`adapter` is what it answers with; `thumbs` is empty where nobody has judged it."""

    persona: Persona
    adapter: str
    evaluation: str
    thumbs: str

    @property
    def title(self) -> str:
        return f"{self.persona.file.emoji} {self.persona.name}"


class Gallery:
    def __init__(self, store: Store, registry: Registry, personas: Mapping[str, Persona], base_slug: str) -> None:
        self._store = store
        self._registry = registry
        self.personas = tuple(personas.values())
        self.base_slug = base_slug

    async def cards(self, shown: Sequence[Persona]) -> list[PersonaCard]:
        """Raises StoreUnavailable."""
        async with self._store.read() as session:
            champions = await self._registry.champions(session, [one.slug for one in shown], self.base_slug)
            thumbs = await feedback.tally(session, base_model=self.base_slug)
        cards = []
        for one in shown:
            champion = champions.get(one.slug)
            adapter = "its system prompt alone" if champion is None else f"adapter {champion.ref.name}"
            evaluation = evaluation_text(champion) or "not measured"
            cards.append(PersonaCard(one, adapter, evaluation, thumbs_text(one, champion, thumbs)))
        return cards
