"""What is told of an adapter folder before its weights are read: pickles, another base model. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.adapters.content_hash import WEIGHTS_FILE
from core.adapters.fingerprint import folder_fingerprint
from core.errors import AdapterRejected, InvalidData, NotFound
from core.generation import AdapterRef

UNSAFE_SUFFIXES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")


def check_adapter(ref: AdapterRef, folder: Path, lineage: Mapping[str, Any], base_fingerprint: str | None) -> None:
    """Refuse what the engine would refuse at the first reply. Raises AdapterRejected.

    An unknown fingerprint, here or in the lineage, refuses nothing. Wrong shapes are for the engine to find.
    """
    check_suffixes(ref, folder)
    check_base(ref, lineage, base_fingerprint)


def check_suffixes(ref: AdapterRef, folder: Path) -> None:
    """Raises AdapterRejected for a folder with a file that could run code."""
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() in UNSAFE_SUFFIXES:
            raise AdapterRejected(
                f"The folder {folder} of adapter {ref.name} holds {path.name}, a format that can run code; only"
                f" {WEIGHTS_FILE} is read, so remove that file."
            )


def check_base(ref: AdapterRef, lineage: Mapping[str, Any], base_fingerprint: str | None) -> None:
    """Raises AdapterRejected for an adapter whose lineage names the fingerprint of another base model."""
    trained_on = lineage.get("base_model_fingerprint")
    if base_fingerprint is not None and trained_on is not None and trained_on != base_fingerprint:
        raise AdapterRejected(
            f"Adapter {ref.name} was trained on another base model ({str(trained_on)[:12]}… instead of"
            f" {base_fingerprint[:12]}…); train it for this one."
        )


def local_fingerprint(base_model_path: str) -> str | None:
    """The base model's `folder_fingerprint`; None where its weights are not on this machine."""
    folder = Path(base_model_path).expanduser()
    if not folder.is_dir():
        cached = _cached_config(base_model_path)
        if cached is None:
            return None
        folder = cached.parent
    try:
        return folder_fingerprint(folder)
    except (NotFound, InvalidData):  # what is wrong with the model itself is said where it is loaded
        return None


def _cached_config(name: str) -> Path | None:
    """config.json of a hub id in the local Hugging Face cache."""
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # a path that leads nowhere
        return None
    return Path(path) if isinstance(path, str) else None
