"""Drivers' errors as StoreUnavailable with one sentence: which database, what is wrong, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror

from sqlalchemy import URL
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from core.errors import StoreUnavailable

SQLITE_ADVICE = {
    sqlite3.SQLITE_BUSY: "is locked by another program; close that program, or wait until it is done, and try again",
    sqlite3.SQLITE_FULL: "cannot grow because its disk is full; free some space and try again",
    sqlite3.SQLITE_READONLY: "cannot be written; check the rights of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the rights of the file and its folder",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database; set PERSONAS_DATABASE_URL to another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a backup, or set PERSONAS_DATABASE_URL to another file",
    sqlite3.SQLITE_IOERR: "cannot be read or written, as its disk is full or fails; free some space or check the disk",
}

WRITTEN_WHILE_READING = (sqlite3.SQLITE_READONLY, "25006")  # what SQLite and PostgreSQL call it


@contextmanager
def outages_as_sentences(url: URL, *, is_reading: bool = False) -> Iterator[None]:
    """Raises StoreUnavailable in place of a driver's error. A write while `is_reading` gets the driver's own."""
    try:
        yield
    except DBAPIError as error:
        # Other subclasses (a broken constraint, a wrong statement) are mistakes of ours, not outages.
        if type(error) not in (DBAPIError, DatabaseError, InterfaceError, OperationalError):
            raise
        if is_reading and _code_of(error.orig) in WRITTEN_WHILE_READING:
            raise
        raise StoreUnavailable(outage_sentence(url, error.orig)) from error
    except (ConnectionError, gaierror) as error:  # asyncpg lets the socket's own errors through
        raise StoreUnavailable(outage_sentence(url, error)) from error


def outage_sentence(url: URL, error: BaseException | None) -> str:
    """What a driver's error means to the user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its detail
    if code in SQLITE_ADVICE:
        return f"The database {name_of(url)} {SQLITE_ADVICE[code]}."
    return f"The database {name_of(url)} cannot be used ({error}); check PERSONAS_DATABASE_URL and that it is running."


def driver_code(error: StoreUnavailable) -> int | str | None:
    """What the driver called the error behind this one: SQLite's number without its detail, PostgreSQL's characters."""
    cause = error.__cause__
    code = _code_of(cause.orig) if isinstance(cause, DBAPIError) else None
    return code & 0xFF if isinstance(code, int) else code


def name_of(url: URL) -> str:
    """A file's path, or the URL without its password."""
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _code_of(error: BaseException | None) -> int | str | None:
    """SQLite's number with its detail, or PostgreSQL's five characters."""
    return getattr(error, "sqlite_errorcode", None) or getattr(error, "sqlstate", None)
