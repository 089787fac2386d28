"""Keeps what can be made again as JSON, whole or not at all."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from core.private_files import make_private_folder
from training.adapter_folder import write_json

logger = logging.getLogger(__name__)


def keep_json(path: Path, value: Any, what: str) -> None:
    """Put it there. Where nothing can be written, a warning says `what` ("The measurement is") not kept."""
    partial = path.with_name(f".{path.stem}-{os.getpid()}")  # another process may write the same
    try:
        make_private_folder(path.parent)
        try:
            write_json(partial, value)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s not kept in %s: %s.", what, path, error.strerror)
