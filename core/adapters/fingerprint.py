"""Tells base models apart by their weights on disk, whatever they are called and however they are quantised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import InvalidData, NotFound
from core.outside_files import open_regular, parse_json, read_json

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
SAMPLE_BYTES = 4096
MAX_HEADER_BYTES = 100_000_000
MAX_INDEX_BYTES = 64 << 20  # the largest models have some 100,000 tensors


def folder_fingerprint(folder: Path) -> str:
    """sha256 over every tensor's name, dtype, shape and first 4 KiB, in the order of the names.

    A sample of each tensor tells a fine-tuned or retrained model from its original in milliseconds, where hashing
    the whole of a large model would take minutes at every start. Splitting the same weights into other files
    changes nothing. Raises NotFound without safetensors weights, InvalidData for a broken file.
    """
    return samples_fingerprint(sample for file in _weight_files(folder) for sample in _sample_tensors(file))


def samples_fingerprint(samples: Iterable[tuple[str, str, bytes]]) -> str:
    """The fingerprint of tensors: (name, "dtype shape" as safetensors writes it, first SAMPLE_BYTES) of each."""
    digest = hashlib.sha256()
    for name, kind, sample in sorted(samples):
        digest.update(f"{name}\n{kind}\n".encode())
        digest.update(hashlib.sha256(sample).digest())
    return digest.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    index = folder / INDEX_FILE
    if index.is_file():
        try:
            weight_map = read_json(index, max_bytes=MAX_INDEX_BYTES)["weight_map"]
            files = [folder / name for name in sorted(set(weight_map.values()))]
        except (InvalidData, KeyError, TypeError, AttributeError) as error:
            raise InvalidData(f"{index}: not an index of safetensors files; download the model again.") from error
    else:
        single = folder / SINGLE_FILE
        files = [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotFound(f"{folder} holds no *.safetensors weights; point PERSONAS_BASE_MODEL at a model that has them.")
    return files


def _sample_tensors(path: Path) -> list[tuple[str, str, bytes]]:
    """(name, "dtype shape", first bytes) of each tensor; the layout is https://github.com/huggingface/safetensors."""
    try:
        with open_regular(path) as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if header_bytes > MAX_HEADER_BYTES:
                raise ValueError("its header is too large")
            header: dict[str, Any] = parse_json(file.read(header_bytes))
            header.pop("__metadata__", None)
            return [_sample(file, name, entry, 8 + header_bytes) for name, entry in header.items()]
    except NotFound as error:
        raise NotFound(f"{path} is missing; download the model again.") from error
    except (InvalidData, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidData(f"{path}: not a safetensors file ({error}); download the model again.") from error


def _sample(file: BinaryIO, name: str, entry: Mapping[str, Any], data_start: int) -> tuple[str, str, bytes]:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end:
        raise ValueError(f"{name} ends before it begins")
    file.seek(data_start + start)
    return name, f"{entry['dtype']} {list(entry['shape'])}", file.read(min(SAMPLE_BYTES, end - start))
