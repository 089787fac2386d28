"""The content hash of an adapter, by which weights are told apart. Knows neither torch nor the engine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.errors import AdapterRejected

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
LINEAGE_FILE = "lineage.json"


def adapter_content_hash(folder: Path) -> str:
    """The content hash of an adapter folder. Raises AdapterRejected when one of the two files cannot be read."""
    contents: list[bytes] = []
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        try:
            contents.append((folder / name).read_bytes())
        except OSError as error:
            reason = error.strerror or "unreadable"
            raise AdapterRejected(
                f"The adapter folder {folder} has no readable {name}: {reason}; restore the folder, or train"
                " the adapter again."
            ) from error
    return content_hash(*contents)


def content_hash(weights: bytes, config: bytes) -> str:
    """sha256 (64 hex digits) over each file's name, a zero byte, its size in decimal, a zero byte and its bytes."""
    digest = hashlib.sha256()
    for name, content in ((WEIGHTS_FILE, weights), (CONFIG_FILE, config)):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
