"""Tells whether another process uses the same data folder. Knows nothing of what is in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import StoreUnavailable

LOCK_FILE = "in-use.lock"


class ProcessLock:
    """Held, shared, by every process that writes exchanges in a data folder; the system lets go of it at any death.

    Unfinished exchanges are a crash's for certain only while no other process lives that may be writing them.
    """

    def __init__(self, data_dir: Path) -> None:
        """Raises StoreUnavailable when the folder cannot be written."""
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._file = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"The data folder {data_dir} cannot be written ({error.strerror}); check its rights,"
                " or set PERSONAS_DATA_DIR to another one."
            ) from error
        fcntl.flock(self._file, fcntl.LOCK_SH)  # waits, if at all, for a moment in which another process is alone

    def try_alone(self) -> bool:
        """True when no other process is there; then none comes in until `share`."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._file, fcntl.LOCK_SH)  # a refused conversion may have dropped the old lock
            return False
        return True

    def share(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)
