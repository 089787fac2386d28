"""Opens the database and hands out sessions, each one transaction. Knows no tables.

Drivers' errors leave here as StoreUnavailable with one sentence. Migrations live in migrations/.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gaierror
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event, func, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from core.advice import InstallPackage, UpgradeDatabase
from core.errors import InvalidSetting, StoreUnavailable
from core.shipped import shipped_folder
from core.store.models import Base

T = TypeVar("T")

MIGRATIONS_FOLDER = shipped_folder("migrations")
MIGRATION_LOCK = 0x706572736F6E61  # "persona": PostgreSQL's lock that lets one process migrate at a time
TEXT_LOCK = 0x74657874  # "text": PostgreSQL's lock that `take_turns` takes
URL_ADVICE = "use sqlite:///path/to/file.db or postgresql://user:password@host/name"

SQLITE_ADVICE = {
    sqlite3.SQLITE_BUSY: "is locked by another program; close that program, or wait until it is done, and try again",
    sqlite3.SQLITE_FULL: "cannot grow because its disk is full; free some space and try again",
    sqlite3.SQLITE_READONLY: "cannot be written; check the rights of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the rights of the file and its folder",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database; set PERSONAS_DATABASE_URL to another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a backup, or set PERSONAS_DATABASE_URL to another file",
    sqlite3.SQLITE_IOERR: "cannot be read or written, as its disk is full or fails; free some space or check the disk",
}


class Store:
    """The open database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @classmethod
    async def open(cls, url: str, *, create_or_upgrade: bool) -> Store:
        """Connect, and bring the schema up to date or check that it is.

        Raises InvalidSetting for an unusable URL, and StoreUnavailable when the database cannot be reached, is newer
        than this program, or is not up to date and `create_or_upgrade` is False.
        """
        engine = create_engine(url)
        try:
            async with _outages_as_sentences(engine.url):
                await _prepare(engine, is_upgrade=create_or_upgrade)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back when the body raises.

        SQLite has one writer, so keep the body short and never open a second session inside it.
        Raises StoreUnavailable when the database is locked, full, read-only or gone; then nothing was written.
        """
        async with _outages_as_sentences(self._engine.url), self._sessions.begin() as session:
            yield session

    async def close(self) -> None:
        await self._engine.dispose()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await what uses a session. Whoever is cancelled meanwhile waits for its end: cut short, a transaction would keep
    SQLite's lock."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def upgrade(url: str) -> None:
    """Create the schema or bring it to this program's version; harmless when it is. Raises what `Store.open` does."""

    async def open_and_close() -> None:
        await (await Store.open(url, create_or_upgrade=True)).close()

    asyncio.run(open_and_close())


def create_engine(url: str) -> AsyncEngine:
    """An engine for SQLite or PostgreSQL; connects to nothing yet. Raises InvalidSetting for any other URL."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return create_async_engine(parsed, pool_pre_ping=True)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            return _create_sqlite_engine(parsed)
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


def insert(session: AsyncSession, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """The database's own INSERT, which knows ON CONFLICT; standard SQL has none."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(model)
    return sqlite.insert(model)


async def take_turns(session: AsyncSession, *, is_shared: bool) -> None:
    """Let this transaction keep text (`is_shared`) or erase text, and nobody the other way round before it has ended.

    Else a text could be written down on the strength of a consent while its withdrawal, which does not see that text
    yet, erases all others. SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if is_shared else func.pg_advisory_xact_lock
        await session.execute(select(lock(TEXT_LOCK)))


# Changes that leave the session's own objects behind; the reads in core.store fetch them anew.
UNSYNCHRONIZED = {"synchronize_session": False}


def alembic_config() -> Config:
    """Alembic's settings in code, so that nobody has to find an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _create_sqlite_engine(url: URL) -> AsyncEngine:
    # One connection: SQLite has one writer anyway, and waiting in the pool is fair where its busy handler is not.
    # That handler, for other processes, waits sqlite3's 5 s; `?timeout=` in the URL changes it.
    engine = create_async_engine(url, pool_size=1, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late; see `begin`
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a committed thumb survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that reads first and writes later fails at once if another process wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


async def _prepare(engine: AsyncEngine, *, is_upgrade: bool) -> None:
    if engine.dialect.name == "sqlite":
        await asyncio.to_thread(_prepare_file, engine.url, may_create=is_upgrade)
    # Not engine.begin(): where BEGIN fails, that leaves the connection and its thread behind.
    async with engine.connect() as connection, connection.begin():
        await connection.run_sync(_migrate if is_upgrade else _check_schema)


def _prepare_file(url: URL, *, may_create: bool) -> None:
    """Make folder and file. Opening it fails here and not in aiosqlite, whose thread then outlives the event loop."""
    path = Path(url.database or "")
    try:
        if not may_create and not path.exists():
            raise StoreUnavailable(f"There is no database {path} yet.", advice=UpgradeDatabase())
        path.parent.mkdir(parents=True, exist_ok=True)
        sqlite3.connect(path).close()
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be reached ({error.strerror}); check the rights of its folder,"
            " or set PERSONAS_DATA_DIR to another one."
        ) from error
    except sqlite3.Error as error:
        raise StoreUnavailable(outage_sentence(url, error)) from error


def _migrate(connection: Connection) -> None:
    """Run what is missing inside the caller's transaction: a migration that fails leaves the old schema whole."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    if not _is_up_to_date(connection):
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _check_schema(connection: Connection) -> None:
    if not _is_up_to_date(connection):
        raise StoreUnavailable(
            f"The database {_name(connection.engine.url)} is not up to date with this version of personas.",
            advice=UpgradeDatabase(),
        )


def _is_up_to_date(connection: Connection) -> bool:
    """Whether the schema is this program's. Raises StoreUnavailable for one that this program does not know."""
    scripts = ScriptDirectory.from_config(alembic_config())
    known = {script.revision for script in scripts.walk_revisions()}
    current = set(MigrationContext.configure(connection).get_current_heads())
    if current - known:
        raise StoreUnavailable(
            f"The database {_name(connection.engine.url)} was written by a newer version of personas"
            f" (schema {', '.join(sorted(current - known))}); install that version,"
            " or set PERSONAS_DATABASE_URL to another database."
        )
    return current == set(scripts.get_heads())


@asynccontextmanager
async def _outages_as_sentences(url: URL) -> AsyncIterator[None]:
    try:
        yield
    except DBAPIError as error:
        # Other subclasses (a broken constraint, a wrong statement) are mistakes of ours, not outages.
        if type(error) not in (DBAPIError, DatabaseError, InterfaceError, OperationalError):
            raise
        raise StoreUnavailable(outage_sentence(url, error.orig)) from error
    except TimeoutError as error:
        raise StoreUnavailable(f"The database {_name(url)} is too busy; try again in a minute.") from error
    except (ConnectionError, gaierror) as error:  # asyncpg lets the socket's own errors through
        raise StoreUnavailable(outage_sentence(url, error)) from error


def outage_sentence(url: URL, error: BaseException | None) -> str:
    """What a driver's error means to the user: which database, what is wrong, what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its detail
    if code in SQLITE_ADVICE:
        return f"The database {_name(url)} {SQLITE_ADVICE[code]}."
    return f"The database {_name(url)} cannot be used ({error}); check PERSONAS_DATABASE_URL and that it is running."


def _name(url: URL) -> str:
    """A file's path, or the URL without its password."""
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
