"""Makes a trained adapter known to the registry. Never promotes it."""

from __future__ import annotations

from core.adapters.registry import RegisteredAdapter, Registry
from core.store.db import Store
from training.run import TrainedAdapter


async def register_trained(store: Store, registry: Registry, trained: TrainedAdapter) -> RegisteredAdapter:
    """Register a finished adapter; it becomes the challenger.

    Raises AdapterRejected when its folder is unreadable or outside the registry's folders.
    """
    return await registry.register(
        store,
        persona=trained.persona,
        base_slug=trained.base_slug,
        folder=trained.folder,
        lineage=trained.lineage,
        origin="bundled" if trained.is_bundled else "trained",
    )
