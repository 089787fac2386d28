"""What a base model is called where its name becomes a folder's: settings name it by hub id, folder or GGUF file."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from core.default_model import DEFAULT_MODEL
from core.gguf_path import SUFFIX as GGUF_SUFFIX

MAX_SLUG_CHARS = 200  # file systems take 255 bytes


def base_slug(base_model: str) -> str:
    """A base model's name as a folder name: "Qwen/Qwen3-4B" -> "Qwen--Qwen3-4B".

    A folder counts by its last part and a hash of where it lies: "/models/tiny" -> "tiny-1a2b3c4d". Folders of one
    name share no adapters then, and only the default model is "smollm2". So does a GGUF file, by its own name.
    """
    folder = base_folder(base_model)
    if folder is None:
        return _safe(base_model.replace("/", "--"))
    return f"{_safe(folder.name)[:MAX_SLUG_CHARS]}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def base_folder(base_model: str) -> Path | None:
    """Where a base model that is named by its folder or GGUF file lies, symlinks followed; None for the default one and
    a hub id."""
    path = os.path.expanduser(base_model)  # noqa: PTH111  # Path's raises for nobody's home
    is_there = os.path.isdir(path)  # noqa: PTH112  # Path's raises for a name too long
    is_path = is_there or base_model.startswith((".", "~", "/")) or base_model.lower().endswith(GGUF_SUFFIX)
    return Path(os.path.realpath(path)) if is_path and base_model != DEFAULT_MODEL else None


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name) or "model"
