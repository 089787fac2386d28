"""The content hash of an adapter, by which weights are told apart. Knows neither torch nor the engine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.errors import AdapterRejected, InvalidData, NotFound
from core.outside_files import read_bytes

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
LINEAGE_FILE = "lineage.json"
MAX_BYTES = {WEIGHTS_FILE: 4 << 30, CONFIG_FILE: 1 << 20}


def adapter_content_hash(folder: Path) -> str:
    """The content hash of an adapter folder. Raises AdapterRejected when one of the two files cannot be read."""
    contents = []
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        try:
            contents.append(read_bytes(folder / name, max_bytes=MAX_BYTES[name]))
        except (InvalidData, NotFound) as error:
            raise AdapterRejected(
                f"The adapter folder {folder} has no readable {name}: {str(error).rstrip('.')}; restore the folder, or"
                " train the adapter again."
            ) from error
    return content_hash(*contents)


def content_hash(weights: bytes, config: bytes) -> str:
    """sha256 (64 hex digits) over each file's name, a zero byte, its size in decimal, a zero byte and its bytes."""
    digest = hashlib.sha256()
    for name, content in ((WEIGHTS_FILE, weights), (CONFIG_FILE, config)):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
