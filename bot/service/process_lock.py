"""Tells what other processes on the same data folder may be writing. Knows nothing of what is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from filelock import ReadWriteLock, Timeout

from bot.service.sources import CHAT_SOURCES, SERVER_SOURCES
from core.errors import StoreUnavailable
from core.private_files import make_private_folder


class ProcessLock:
    """Held, shared, for every source of which a process writes exchanges; the system lets go of it at any death.

    A source's unfinished exchanges are a crash's for certain only while no other process lives that may write them.
    The locks are SQLite's own, which are shared or exclusive on every system.
    """

    def __init__(self, data_dir: Path, sources: Iterable[str] = SERVER_SOURCES + CHAT_SOURCES) -> None:
        """Raises StoreUnavailable when the folder cannot be written."""
        self._data_dir = data_dir
        with ExitStack() as opened:
            self._locks = {source: opened.enter_context(_lock_file(data_dir, source)) for source in sources}
            for lock in self._locks.values():
                _share(data_dir, lock)  # waits, if at all, for a moment in which another process is alone
            self._opened = opened.pop_all()

    @contextmanager
    def alone(self, source: str) -> Iterator[bool]:
        """Whether no other process writes exchanges of this source; if so, none begins to before this ends."""
        if source in self._locks:
            lock = self._locks[source]
            lock.release()  # it changes from shared to exclusive in no other way
            try:
                with _try_alone(lock) as is_alone:
                    yield is_alone
            finally:
                _share(self._data_dir, lock)
        else:
            with _lock_file(self._data_dir, source) as lock, _try_alone(lock) as is_alone:
                yield is_alone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()


@contextmanager
def _lock_file(data_dir: Path, source: str) -> Iterator[ReadWriteLock]:
    try:
        make_private_folder(data_dir)
        lock = ReadWriteLock(data_dir / f"in-use.{quote(source, safe='')}.lock", is_singleton=False)
    except (OSError, sqlite3.Error, ValueError) as error:
        raise _unwritable(data_dir, error) from error
    try:
        yield lock
    finally:
        lock.close()


def _share(data_dir: Path, lock: ReadWriteLock) -> None:
    try:
        lock.acquire_read()
    except (OSError, sqlite3.Error) as error:
        raise _unwritable(data_dir, error) from error


@contextmanager
def _try_alone(lock: ReadWriteLock) -> Iterator[bool]:
    try:
        lock.acquire_write(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _unwritable(data_dir: Path, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"The data folder {data_dir} cannot be written ({getattr(error, 'strerror', None) or error}); check its rights,"
        " or set PERSONAS_DATA_DIR to another one."
    )
