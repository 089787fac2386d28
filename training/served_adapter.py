"""Reads an adapter as the engine would, and refuses what the engine would refuse, before another library opens it."""

from __future__ import annotations

from pathlib import Path

from core.adapters.content_hash import adapter_content_hash
from core.engine.adapter_files import AdapterReader, AdapterWeights
from core.engine.loading import LoadedBase, base_fingerprint
from core.engine.multi_lora import find_targets
from core.generation import AdapterRef
from core.settings import Settings
from training.recipes import MAX_R


def read_served(folder: Path, settings: Settings, base: LoadedBase, name: str | None = None) -> AdapterWeights:
    """The adapter's weights. Raises AdapterRejected for one that cannot be served on this base model."""
    reader = AdapterReader(
        settings.adapter_roots, find_targets(base.model), max_rank=MAX_R, base_fingerprint=base_fingerprint(base)
    )
    return reader.read(AdapterRef(name or folder.name, adapter_content_hash(folder)), folder)
