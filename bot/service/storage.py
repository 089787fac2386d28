"""What a command needs to know personas, their adapter versions and the ledger: files and database, no model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.adapters.registry import Registry
from core.errors import InvalidSetting, NotFound
from core.personas import Persona, find_persona, load_personas
from core.private_files import close_folder
from core.settings import Settings
from core.store.db import Store


@dataclass(frozen=True, slots=True)
class Storage:
    """The personas as they are on disk, and the open store with the registry of their adapter versions."""

    settings: Settings
    personas: Mapping[str, Persona]
    store: Store
    registry: Registry

    @property
    def default_persona(self) -> str:
        """Who answers where nobody was chosen. Raises InvalidSetting when the setting names nobody."""
        chosen = self.settings.default_persona
        if chosen in self.personas:
            return chosen
        if "default_persona" not in self.settings.model_fields_set:
            return next(iter(self.personas))
        try:
            return find_persona(self.personas, chosen).slug
        except NotFound as error:
            raise InvalidSetting(f"PERSONAS_DEFAULT_PERSONA is wrong: {error}") from error


@asynccontextmanager
async def open_storage(settings: Settings, *, shipped_by: str = "bundled") -> AsyncIterator[Storage]:
    """Read the personas, open the store, and register the adapters that the personas ship and those left over.

    `shipped_by` is recorded where a shipped adapter takes the place of another. SQLite is created and brought up to
    date; another database only by `personas db upgrade`. Raises NotFound and InvalidData for the personas, and
    StoreUnavailable for the store.
    """
    close_folder(settings.data_dir)
    personas = load_personas(settings.dir, settings.own_dir)
    store = await Store.open(settings.store_url, create_or_upgrade=settings.is_sqlite)
    try:
        registry = Registry(settings.dir, settings.adapters_dir)
        await registry.sync_bundled(store, personas, settings.base_slug, by=shipped_by)
        await registry.sync_trained(store, personas, settings.base_slug)
        yield Storage(settings, personas, store, registry)
    finally:
        await store.close()
