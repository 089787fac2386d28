"""Brings champions to the engine ahead of their first reply, and takes away those they replaced.

A moved alias takes effect without it, because every job names its adapter versions; this only spares the first people
who meet a new version the reading and checking of its files. Knows no jobs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from core.adapters.registry import Registry
from core.engine.base import Engine
from core.generation import AdapterRef
from core.store.db import Store
from core.worker.watching import Pause, keep_looking, load_ahead

LOOK_EVERY_S = 5.0

logger = logging.getLogger(__name__)


class ChampionWatch:
    """What the engine was told of these personas' champions."""

    def __init__(
        self, store: Store, registry: Registry, engine: Engine, personas: Collection[str], base_slug: str
    ) -> None:
        self._store = store
        self._registry = registry
        self._engine = engine
        self._personas = personas
        self._base_slug = base_slug
        self._known: dict[str, AdapterRef] = {}

    async def run(self, *, pause: Pause = asyncio.sleep) -> None:
        """Look every few seconds, until cancelled. `pause` waits this many seconds."""
        await keep_looking(
            self.look,
            LOOK_EVERY_S,
            logger,
            unread="The champions cannot be read now",
            broken="The champions are not loaded ahead of their replies",
            pause=pause,
        )

    async def look(self) -> None:
        """Compare the aliases with what the engine was told. Raises StoreUnavailable."""
        async with self._store.read() as session:
            champions = await self._registry.champions(session, self._personas, self._base_slug)
        for persona, champion in champions.items():
            former = self._known.get(persona)
            if champion.ref == former:
                continue
            self._known[persona] = champion.ref
            await load_ahead(self._engine, champion.ref, logger)
            if former is not None:
                await self._engine.unload_adapter(former.name)
                logger.info("%s answers in place of %s", champion.ref.name, former.name)
