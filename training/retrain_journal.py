"""Where a retraining stands, so that one that was killed goes on: one small file, whole or not there.

It names steps, hashes and ids, and none of the words that people said: what trains is exported again, as of the same
moment, and compared by its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.errors import InvalidData, NotFound, PersonasError, StoreUnavailable
from core.outside_files import read_json
from core.private_files import PRIVATE_FILE, make_private_folder
from training.feedback_set import FeedbackSet

FOLDER, JOURNAL, LAST, LOCK_FILE = "retraining", "journal.json", "last.json", ".lock"


class RetrainingRuns(PersonasError):
    """Another process retrains a persona of this data folder."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What is done of one retraining. `options` decided what is exported at `begun_at`, a unix time in seconds.

    `digest` is of everything exported, `before`
    where the aliases pointed then. `content_hash` and `folder`, below the adapters' folder, are those of the
    adapter once it is trained; `version` its number once it is registered.
    """

    begun_at: float
    options: dict[str, Any]
    digest: str
    exchange_ids: tuple[str, ...]
    before: dict[str, int]
    is_training: bool = False
    content_hash: str | None = None
    folder: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """How the last retraining ended, so that the same feedback is not tried twice by a trainer."""

    digest: str
    outcome: str
    version: str | None
    ended_at: float
    details: dict[str, Any] = field(default_factory=dict)


class JournalFile:
    """The journal of one persona on one base model."""

    def __init__(self, data_dir: Path, persona: str, base_slug: str) -> None:
        self._root = data_dir / FOLDER
        self._folder = self._root / persona / base_slug

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other retraining of this data folder out while the block runs: there is one processor to share.

        Raises RetrainingRuns, and StoreUnavailable where nothing can be written.
        """
        try:
            make_private_folder(self._folder)
            lock = FileLock(self._root / LOCK_FILE, blocking=False).acquire()
        except Timeout as error:
            raise RetrainingRuns(
                f"Another process retrains a persona of {self._root.parent} already; wait for it, or stop it first."
            ) from error
        except OSError as error:
            raise _unwritable(self._root, error) from error
        with lock:
            yield

    def read(self) -> Journal | None:
        """The journal of a retraining that was not finished; None where there is none that can be read."""
        value = _read(self._folder / JOURNAL)
        with suppress(TypeError, KeyError, AttributeError):
            return None if value is None else Journal(**{**value, "exchange_ids": tuple(value["exchange_ids"])})
        return None

    def write(self, journal: Journal) -> Journal:
        """Put this in the place of the former one; returns it. Raises StoreUnavailable."""
        self._write(JOURNAL, asdict(journal))
        return journal

    def last(self) -> Last | None:
        value = _read(self._folder / LAST)
        with suppress(TypeError):
            return None if value is None else Last(**value)
        return None

    def finish(self, last: Last) -> None:
        """Note how it ended, and let go of the journal. Raises StoreUnavailable."""
        self._write(LAST, asdict(last))
        (self._folder / JOURNAL).unlink(missing_ok=True)

    def _write(self, name: str, value: dict[str, Any]) -> None:
        path, partial = self._folder / name, self._folder / f".{name}"
        try:
            make_private_folder(self._folder)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE), "w") as file:
                json.dump(value, file, indent=2, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise _unwritable(self._folder, error) from error


def digest_of(feedback: FeedbackSet) -> str:
    """sha256 over everything that trains; what is held back, which grows by the minute, is no part of it."""
    digest = hashlib.sha256()
    for rows in (feedback.judged, feedback.preferred, feedback.corrected):
        for line in sorted(json.dumps(asdict(row), sort_keys=True) for row in rows):
            digest.update(f"{line}\n".encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except (NotFound, InvalidData):
        return None
    return value if isinstance(value, dict) else None


def _unwritable(folder: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"Nothing can be written below {folder}: {error.strerror}; free some space or set PERSONAS_DATA_DIR to another"
        " folder."
    )
