"""Whether a base model's folder holds what transformers may open. Reads no weights."""

from __future__ import annotations

from pathlib import Path

from core.errors import InvalidData, InvalidSetting
from core.outside_files import open_regular, read_bytes

MAX_CONFIG_BYTES = 256 << 20  # tokenizer.json is the largest


def check_model_files(folder: Path) -> None:
    """transformers opens what lies there by its name, and would wait for a pipe for ever. Raises InvalidSetting."""
    try:
        for path in sorted(folder.iterdir()):
            if path.is_dir() or not path.exists():
                continue
            if path.suffix in (".json", ".jinja"):
                read_bytes(path, max_bytes=MAX_CONFIG_BYTES)
            else:
                with open_regular(path):
                    pass
    except (InvalidData, OSError) as error:
        raise InvalidSetting(
            f"{folder} cannot be used as the base model: {str(error).rstrip('.')}; download the model again."
        ) from error
