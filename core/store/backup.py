"""Copies an SQLite database while others use it. Knows no tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from core.errors import InvalidInput, StoreUnavailable
from core.private_files import make_private_file
from core.store.outages import SQLITE_ADVICE, outage_sentence


def back_up(store_url: str, target: Path) -> None:
    """Write one moment of the database to a new file for its owner alone, whole and looked through, or not at all.

    Raises InvalidInput for a file that exists and for databases that are not SQLite, and StoreUnavailable.
    """
    url = make_url(store_url)
    if url.get_backend_name() != "sqlite":
        raise InvalidInput("Only SQLite is copied by this command; PostgreSQL has pg_dump for it.")
    source = Path(url.database or "")
    if not source.is_file():
        raise StoreUnavailable(f"There is no database {source} to copy.")
    if target.exists():
        raise InvalidInput(f"{target} exists already; name a new file, so that no former copy is lost.")
    try:
        make_private_file(target)
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be written ({error.strerror}); name another file.") from error
    try:
        _copy(source, target)
    except sqlite3.Error as error:
        target.unlink()
        raise StoreUnavailable(outage_sentence(url, error)) from error
    except BaseException:
        target.unlink()
        raise


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without others beside it
        if copy.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise StoreUnavailable(f"The database {source} {SQLITE_ADVICE[sqlite3.SQLITE_CORRUPT]}.")
