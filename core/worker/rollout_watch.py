"""Takes rollouts from step to step while a server runs, and tells the worker whose challenger answers unseen.

Looks every few seconds, which the statistics allow. Several servers may look at one database: each step is taken once,
because it is taken only where the rollout still stands where it was looked at. Knows no rules and no jobs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from core.adapters.registry import Registry
from core.adapters.rollout import RolloutStanding, decide, standing_of
from core.adapters.rollout_moves import end_where_champion_moved, take_step
from core.personas import Persona
from core.store import rollouts
from core.store.db import Store
from core.voice import Voice, read_voice
from core.worker.shadow import Challenge, Shadow
from core.worker.watching import Pause, keep_looking, load_ahead

LOOK_EVERY_S = 10.0

logger = logging.getLogger(__name__)


class RolloutWatch:
    """The rollouts of these personas, and what `shadow` was told of them."""

    def __init__(
        self, store: Store, registry: Registry, personas: Mapping[str, Persona], base_slug: str, shadow: Shadow
    ) -> None:
        self._store = store
        self._registry = registry
        self._personas = personas
        self._base_slug = base_slug
        self._shadow = shadow
        self._voices: dict[str, Voice] = {}
        self._loaded: set[str] = set()  # challengers that the engine was told of

    async def run(self, *, pause: Pause = asyncio.sleep) -> None:
        """Look every few seconds, until cancelled. `pause` waits this many seconds."""
        await keep_looking(
            self.look,
            LOOK_EVERY_S,
            logger,
            unread="The rollouts cannot be read now",
            broken="The rollouts stand still",
            pause=pause,
        )

    async def look(self) -> None:
        """Take every running rollout as far as it goes, and note who answers unseen. Raises StoreUnavailable."""
        challenges: dict[str, Challenge] = {}
        for standing, is_answering in await self._standings():
            step = decide(standing)
            if not is_answering:
                await end_where_champion_moved(self._store, standing)
            elif step is not None:
                await take_step(self._store, self._registry, standing, step)
                logger.info("%s: %s", standing.persona, step.reason)
            elif standing.stage == "shadow" and not standing.is_paused:
                challenges |= await self._challenge(standing)
            elif standing.stage == "canary":
                await self._load(standing)
        self._shadow.challenges = challenges

    async def _standings(self) -> list[tuple[RolloutStanding, bool]]:
        """Every running rollout, and whether its champion still answers."""
        async with self._store.read() as session:
            running = await rollouts.running(session, self._personas, self._base_slug)
            champions = await self._registry.champions(session, [one.persona for one in running], self._base_slug)
            return [
                (await standing_of(session, one), champions[one.persona].version == one.champion) for one in running
            ]

    async def _challenge(self, standing: RolloutStanding) -> dict[str, Challenge]:
        """The challenger, by the content hash of the champion beside which it answers."""
        slug = standing.persona
        if slug not in self._voices:
            self._voices[slug] = await asyncio.to_thread(read_voice, self._personas[slug], self._personas)
        async with self._store.read() as session:
            champion, challenger = [
                await self._registry.get(session, slug, self._base_slug, version)
                for version in (standing.champion, standing.challenger)
            ]
        return {
            champion.ref.content_hash: Challenge(
                slug, self._base_slug, challenger.version, challenger.ref, self._voices[slug]
            )
        }

    async def _load(self, standing: RolloutStanding) -> None:
        """Spare the first people who meet the challenger the reading of its files."""
        async with self._store.read() as session:
            found = await self._registry.get(session, standing.persona, self._base_slug, standing.challenger)
        if found.ref.name in self._loaded:
            return
        self._loaded.add(found.ref.name)
        await load_ahead(self._shadow.engine, found.ref, logger)
