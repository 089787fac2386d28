"""Reads an adapter as the engine would, and refuses what the engine would refuse, before another library opens it."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from core.engine.adapter_files import AdapterReader, AdapterWeights
from core.engine.multi_lora import find_targets
from core.generation import AdapterRef
from core.settings import Settings
from training.recipes import MAX_R


def read_served(
    ref: AdapterRef, folder: Path, settings: Settings, model: PreTrainedModel, fingerprint: str | None
) -> AdapterWeights:
    """The adapter's weights. Raises AdapterRejected for one that cannot be served on this base model, which is of this
    fingerprint where that is known, or whose files are not what `ref` names any more."""
    reader = AdapterReader(settings.adapter_roots, find_targets(model), max_rank=MAX_R, base_fingerprint=fingerprint)
    return reader.read(ref, folder)
