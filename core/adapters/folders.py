"""From an adapter's content hash to the folder that holds it on this machine. Knows no torch, and reads no weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from core.adapters.content_hash import adapter_content_hash
from core.adapters.registry import Registry
from core.errors import AdapterRejected
from core.generation import AdapterRef
from core.store.db import Store


class AdapterFolders(Protocol):
    """What the side that loads adapters asks. Jobs name adapters by their content, and never say where one lies."""

    async def find(self, ref: AdapterRef) -> Path:
        """The folder with this content. Raises AdapterRejected when there is none."""


class RegisteredFolders:
    """The folders of the registered adapter versions."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    async def find(self, ref: AdapterRef) -> Path:
        """Where the same content was registered more than once, a folder that is there. Raises StoreUnavailable too."""
        async with self._store.read() as session:
            folders = await self._registry.folders(session, ref.content_hash)
        if not folders:
            raise _not_found(ref)
        return next((folder for folder in folders if folder.is_dir()), folders[0])


class KnownFolders:
    """Folders without a registry, as of an adapter that was just trained. Raises AdapterRejected for a broken one."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = {adapter_content_hash(folder): folder for folder in folders}

    async def find(self, ref: AdapterRef) -> Path:
        if ref.content_hash not in self._folders:
            raise _not_found(ref)
        return self._folders[ref.content_hash]


def _not_found(ref: AdapterRef) -> AdapterRejected:
    return AdapterRejected(
        f"No adapter on this machine has the content {ref.content_hash[:12]}… of {ref.name}; choose another version, or"
        " bring its folder here and register it."
    )
