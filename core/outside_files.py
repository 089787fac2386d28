"""Reads small files that others wrote: bounded, regular ones only, and every way to break one is a sentence.

A pipe or a device in a file's place would keep whoever opens it waiting for ever, and a parser raises more than its
own errors. Knows no format's meaning.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from core.errors import InvalidData, NotFound

MAX_SMALL_BYTES = 4 << 20  # texts and configurations; whatever is larger was put there by mistake, or in malice
MAX_NAME_CHARS = 40  # of a key in a sentence
MAX_DEPTH = 64  # of lists and objects within each other
# A key of as many dotted parts; Python's parser takes minutes over one of some ten thousand.
DEEP_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""", re.ASCII)
MAX_INTEGER = 2**63 - 1  # beyond it, databases and tensors overflow
BOM = b"\xef\xbb\xbf"  # Windows' editors put it in front of UTF-8
# O_NONBLOCK: a pipe that takes the file's place after a first look is opened at once, and then refused.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_CHUNK_BYTES = 1 << 20


def real_path(path: Path, *, strict: bool = False) -> Path:
    """Where a path leads once its links are followed. Where they lead nowhere, or round in a circle, `strict` raises
    OSError, and else it is as far as they lead.
    """
    return Path(os.path.realpath(path, strict=strict))  # `Path.resolve` raises RuntimeError for a circle


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading. Raises NotFound where there is none, and InvalidData for anything else there and
    for a disk that fails while the block reads."""
    try:
        with _opened(path) as file:
            yield file
    except FileNotFoundError as error:
        raise NotFound(f"{path} is missing.") from error
    except OSError as error:
        raise InvalidData(f"{path} cannot be read ({error.strerror}); check its rights.") from error


def _opened(path: Path) -> BufferedReader:
    try:
        _check_regular(path, path.stat().st_mode)  # before it is opened: opening some devices does something
        file = os.fdopen(os.open(path, _OPEN_FLAGS), "rb")
    except ValueError as error:  # a name that no file can have
        raise InvalidData(f"{str(path)!r} cannot be read ({error}).") from error
    try:
        _check_regular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(path: Path, *, max_bytes: int = MAX_SMALL_BYTES) -> bytes:
    """A regular file's bytes, `max_bytes` of them at most. Raises NotFound, and InvalidData that names the file."""
    chunks, size_bytes = [], 0
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            chunks.append(chunk)
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise InvalidData(f"{path} is larger than {_size(max_bytes)}, which is all that is read of it.")
    return b"".join(chunks)


def read_text(path: Path, *, max_bytes: int = MAX_SMALL_BYTES) -> str:
    """A UTF-8 text without its byte order mark. Raises NotFound, and InvalidData that names the file."""
    return _decoded(path, read_bytes(path, max_bytes=max_bytes))


def read_json(path: Path, *, max_bytes: int = MAX_SMALL_BYTES) -> Any:
    """A file's JSON. Raises NotFound, and InvalidData that names the file."""
    content = read_bytes(path, max_bytes=max_bytes)
    try:
        return parse_json(content)
    except InvalidData as error:
        raise InvalidData(f"{path} cannot be read: it is {error}.") from error


def read_toml(path: Path, *, max_bytes: int = MAX_SMALL_BYTES) -> dict[str, Any]:
    """A file's TOML. Raises NotFound, and InvalidData that names the file."""
    text = read_text(path, max_bytes=max_bytes)
    try:
        if DEEP_KEY.search(text):
            raise InvalidData("nested too deeply")
        value: dict[str, Any] = _parsed(lambda: tomllib.loads(text), "not valid TOML")
    except InvalidData as error:
        raise InvalidData(f"{path} cannot be read: it is {error}.") from error
    return value


def parse_json(content: bytes, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """JSON in UTF-8, with or without a byte order mark. Raises InvalidData: "not JSON (why)", without a full stop."""
    try:
        text = content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidData(f"not UTF-8 text ({error.reason} at byte {error.start})") from error
    return _parsed(lambda: json.loads(text, object_pairs_hook=object_pairs_hook), "not JSON")


def _parsed(parse: Callable[[], Any], problem: str) -> Any:
    try:
        value = parse()
        _check_value(value, MAX_DEPTH)
    except RecursionError as error:
        raise InvalidData("nested too deeply") from error
    except (ValueError, OverflowError) as error:  # JSON's and TOML's own errors are ValueErrors; so are long numbers'
        raise InvalidData(f"{problem} ({error})") from error
    return value


def _check_value(value: Any, depth: int, name: str = "a number") -> None:
    """What parses may still break whoever works with it. Raises RecursionError and ValueError."""
    if isinstance(value, dict | list):
        if not depth:
            raise RecursionError
        for key, inner in value.items() if isinstance(value, dict) else ((name, inner) for inner in value):
            _check_value(inner, depth - 1, str(key))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name[:MAX_NAME_CHARS]!a} is infinite or no number")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"{name[:MAX_NAME_CHARS]!a} has too many digits")


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidData(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8."
        ) from error


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise InvalidData(f"{path} is {kind} where a file is wanted; put the file in its place.")


def _size(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >> 20 else f"{size_bytes >> 10} KiB"
