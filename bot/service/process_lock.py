"""Tells what other processes on the same data folder may be writing. Knows nothing of what is in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from bot.service.sources import CHAT_SOURCES, SERVER_SOURCES
from core.errors import StoreUnavailable
from core.private_files import make_private_folder


class ProcessLock:
    """Held, shared, for every source of which a process writes exchanges; the system lets go of it at any death.

    A source's unfinished exchanges are a crash's for certain only while no other process lives that may write them.
    """

    def __init__(self, data_dir: Path, sources: Iterable[str] = SERVER_SOURCES + CHAT_SOURCES) -> None:
        """Raises StoreUnavailable when the folder cannot be written."""
        self._data_dir = data_dir
        with ExitStack() as opened:
            self._files = {source: opened.enter_context(_lock_file(data_dir, source)) for source in sources}
            for file in self._files.values():
                fcntl.flock(file, fcntl.LOCK_SH)  # waits, if at all, for a moment in which another process is alone
            self._opened = opened.pop_all()

    @contextmanager
    def alone(self, source: str) -> Iterator[bool]:
        """Whether no other process writes exchanges of this source; if so, none begins to before this ends."""
        if source in self._files:
            file = self._files[source]
            try:
                yield _try_alone(file)
            finally:
                fcntl.flock(file, fcntl.LOCK_SH)  # a refused conversion may have dropped the old lock
        else:
            with _lock_file(self._data_dir, source) as file:
                yield _try_alone(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()


@contextmanager
def _lock_file(data_dir: Path, source: str) -> Iterator[int]:
    try:
        make_private_folder(data_dir)
        path = data_dir / f"in-use.{quote(source, safe='')}.lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"The data folder {data_dir} cannot be written ({error.strerror}); check its rights,"
            " or set PERSONAS_DATA_DIR to another one."
        ) from error
    try:
        yield file
    finally:
        os.close(file)


def _try_alone(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
