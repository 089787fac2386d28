"""Brings champions to the engine ahead of their first reply, and takes away those they replaced.

A moved alias takes effect without it, because every job names its adapter versions; this only spares the first people
who meet a new version the reading and checking of its files. Knows no jobs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from core.adapters.registry import Registry
from core.engine.base import Engine
from core.errors import PersonasError, StoreUnavailable
from core.generation import AdapterRef
from core.store.db import Store

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

    async def run(self, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look every few seconds, until cancelled. `pause` waits this many seconds."""
        while True:
            try:
                await self.look()
            except StoreUnavailable:
                logger.debug("The champions cannot be read now")  # the store's other users say so loudly
            except Exception:  # the loop's boundary: replies do not depend on it
                logger.exception("The champions are not loaded ahead of their replies")
            await pause(LOOK_EVERY_S)

    async def look(self) -> None:
        """Compare the aliases with what the engine was told. Raises StoreUnavailable."""
        async with self._store.read() as session:
            champions = await self._registry.champions(session, self._personas, self._base_slug)
        for persona, champion in champions.items():
            former = self._known.get(persona)
            if champion.ref == former:
                continue
            self._known[persona] = champion.ref
            await self._load(champion.ref)
            if former is not None:
                await self._engine.unload_adapter(former.name)
                logger.info("%s answers in place of %s", champion.ref.name, former.name)

    async def _load(self, ref: AdapterRef) -> None:
        try:
            await self._engine.load_adapter(ref)
        except PersonasError as error:  # unusable files, no memory, an engine that stops: replies will say so
            logger.warning("%s is not loaded ahead of its first reply: %s", ref.name, error)
