"""Keeps a GGUF base model dequantised in the data folder, in Hugging Face's own format, whole or not at all.

Made once, by one process; a later start maps it in a second or two, and other engines can read it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from core.adapters.fingerprint import folder_fingerprint
from core.engine.gguf_base import GGUFBase, read_gguf
from core.errors import InvalidData, NotFound, StoreUnavailable
from core.outside_files import open_regular, read_json

MARKER_FILE = "source.json"  # written last: what the copy was made from, and what its files are
FORMAT = 1  # another number makes all copies again
PARTIAL_PREFIX = ".partial-"
SAMPLES, SAMPLE_BYTES = 64, 1 << 16
WHOLE_HASH_BYTES = 2 << 30  # larger files count by size and fingerprint: hashing them would take longer than loading
UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

logger = logging.getLogger(__name__)


class UnwritableFolder(StoreUnavailable):
    """The data folder cannot be written; the model can still be served from memory."""


def dequantised_copy(gguf: Path, folder: Path, generation: Mapping[str, Any]) -> Path:
    """The folder with the dequantised model, made first where it is missing, damaged or of another file.

    `generation` are fields of its generation config. Raises what `read_gguf` raises, UnwritableFolder, and
    StoreUnavailable when the disk is full.
    """
    wanted = {"format": FORMAT, "gguf": _identity(gguf), "generation": dict(generation)}
    if _is_whole(folder, wanted):
        return folder
    with _disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not _is_whole(folder, wanted):  # another process may have made it meanwhile
                _make(gguf, folder, wanted)
    return folder


def _make(gguf: Path, folder: Path, wanted: Mapping[str, Any]) -> None:
    prefix = f"{PARTIAL_PREFIX}{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):  # of a process that was killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        logger.info("Dequantising %s into %s, once; this takes a minute.", gguf.name, folder)
        base = read_gguf(gguf, wanted["generation"])
        _check_free_space(base, folder)
        new = partial / "new"
        base.model.save_pretrained(new)
        base.tokenizer.save_pretrained(new)
        marker = {**wanted, "files": {path.name: _file_identity(path) for path in sorted(new.iterdir())}}
        (new / MARKER_FILE).write_text(json.dumps(marker, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        if folder.exists():
            logger.warning("The copy in %s is damaged or of another model and is made again.", folder)
            folder.rename(partial / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise UnwritableFolder(
                f"{folder.parent} cannot be written ({error.strerror}); set PERSONAS_DATA_DIR to a folder that can."
            ) from error
        raise StoreUnavailable(
            f"The base model could not be written to {folder} ({error}); free some space, or set PERSONAS_DATA_DIR to"
            " another folder."
        ) from error


def _check_free_space(base: GGUFBase, folder: Path) -> None:
    needed = base.model.get_memory_footprint() + (64 << 20)
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise StoreUnavailable(
            f"The base model needs {needed >> 20} MiB below {folder.parent}, where {free >> 20} MiB are free; free some"
            " space, or set PERSONAS_DATA_DIR to another folder."
        )


def _identity(gguf: Path) -> str:
    """The file's size and a hash of samples of it: a whole hash of a large model would take longer than loading it."""
    try:
        size = gguf.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with gguf.open("rb") as file:
            for number in range(SAMPLES):
                file.seek(max(size - SAMPLE_BYTES, 0) * number // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        raise NotFound(f"The GGUF file {gguf} cannot be read: {error.strerror}; check its rights.") from error
    return digest.hexdigest()


def _is_whole(folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether the folder holds this copy, every file as it was written."""
    try:
        marker = read_json(folder / MARKER_FILE)
        files = dict(marker.pop("files"))
        return marker == wanted and all(_file_identity(folder / name) == files[name] for name in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidData, NotFound):
        return False


def _file_identity(path: Path) -> str:
    size = path.stat().st_size
    if size > WHOLE_HASH_BYTES:
        return f"{size} {folder_fingerprint(path.parent)}"
    with open_regular(path) as file:
        return f"{size} {hashlib.file_digest(file, 'sha256').hexdigest()}"
