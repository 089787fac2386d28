"""Engines for SQLite and PostgreSQL: one that writes, and one beside it that cannot. Knows no tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.advice import InstallPackage
from core.errors import InvalidSetting

POSTGRES_CONNECTIONS = 10  # for reading and writing together
SQLITE_READERS = 4  # beside the one that writes
URL_ADVICE = "use sqlite:///path/to/file.db or postgresql://user:password@host/name"

WRITER_PRAGMAS = (
    "journal_mode = WAL",  # readers wait for no writer, whichever process it is in
    "synchronous = FULL",  # a committed thumb survives a power cut
    "foreign_keys = ON",
)


def create_engine(url: str) -> AsyncEngine:
    """An engine that writes to SQLite or PostgreSQL; connects to nothing yet. Raises InvalidSetting for other URLs."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return create_async_engine(parsed, pool_pre_ping=True, pool_size=POSTGRES_CONNECTIONS, max_overflow=0)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            return _sqlite_engine(parsed, connections=1, begin="BEGIN IMMEDIATE", pragmas=WRITER_PRAGMAS)
    except ImportError as error:
        raise InvalidSetting(
            f"PERSONAS_DATABASE_URL needs the package {error.name}.", advice=InstallPackage(str(error.name))
        ) from error
    except (ArgumentError, ValueError) as error:  # its text may hold the URL and with it a password
        raise InvalidSetting(f"PERSONAS_DATABASE_URL is not a database URL; {URL_ADVICE}.") from error
    if parsed.get_backend_name() == "sqlite":
        raise InvalidSetting(f"PERSONAS_DATABASE_URL names no file; {URL_ADVICE}.")
    raise InvalidSetting(
        f'PERSONAS_DATABASE_URL starts with "{parsed.drivername}", which is no database known here; {URL_ADVICE}.'
    )


def reading_engine(engine: AsyncEngine) -> AsyncEngine:
    """An engine for the same database that cannot write. What a transaction of it reads is one moment's."""
    if engine.dialect.name == "postgresql":  # shares the connections
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return _sqlite_engine(engine.url, connections=SQLITE_READERS, begin="BEGIN", pragmas=("query_only = ON",))


def make_no_file(engine: AsyncEngine) -> None:
    """From here on an SQLite file that was taken away is not made anew, empty, by the next connection."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine.sync_engine, "do_connect")
    def open_what_is_there(_dialect: Any, _record: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        if not kwargs.get("uri"):
            args[0] = f"{Path(args[0]).absolute().as_uri()}?mode=rw"
            kwargs["uri"] = True


def _sqlite_engine(url: URL, *, connections: int, begin: str, pragmas: Sequence[str]) -> AsyncEngine:
    """`begin` is IMMEDIATE where it writes: a transaction that reads first and writes later fails at once if another
    process wrote in between. It waits for other processes sqlite3's 5 s; `?timeout=` in the URL changes that.
    """
    engine = create_async_engine(url, pool_size=connections, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
