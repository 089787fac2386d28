"""Makes a trained adapter known to the registry. Never promotes it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from core.adapters.registry import RegisteredAdapter, Registry
from training.sft import TrainedAdapter


async def register_trained(session: AsyncSession, registry: Registry, trained: TrainedAdapter) -> RegisteredAdapter:
    """Register a finished adapter within the caller's transaction; it becomes the challenger.

    Raises AdapterRejected when its folder is unreadable or outside the registry's folders.
    """
    return await registry.register(
        session,
        persona=trained.persona,
        base_slug=trained.base_slug,
        folder=trained.folder,
        lineage=trained.lineage,
        origin="bundled" if trained.is_bundled else "trained",
    )
