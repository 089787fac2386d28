"""Brings a database's schema up to date, or checks that it is. The migrations themselves lie in migrations/."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.advice import UpgradeDatabase
from core.errors import StoreUnavailable
from core.private_files import close_to_others, make_private_file, make_private_folder
from core.shipped import shipped_folder
from core.store.outages import name_of, outage_sentence

MIGRATIONS_FOLDER = shipped_folder("migrations")
MIGRATION_LOCK = 0x706572736F6E61  # "persona": PostgreSQL's lock that lets one process migrate at a time


def alembic_config() -> Config:
    """Alembic's settings in code, so that nobody has to find an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def prepare(engine: AsyncEngine, *, is_upgrade: bool) -> None:
    """Create or upgrade the schema, or check it. Raises StoreUnavailable, and what the driver raises."""
    if engine.dialect.name == "sqlite":
        await asyncio.to_thread(_prepare_file, engine.url, may_create=is_upgrade)
    # Not engine.begin(): where BEGIN fails, that leaves the connection and its thread behind.
    async with engine.connect() as connection, connection.begin():
        await connection.run_sync(_migrate if is_upgrade else _check_schema)


def _prepare_file(url: URL, *, may_create: bool) -> None:
    """Make folder and file. Opening it fails here and not in aiosqlite, whose thread then outlives the event loop."""
    path = Path(url.database or "")
    try:
        if path.exists():
            _check_regular(path)
        elif not may_create:
            raise StoreUnavailable(f"There is no database {path} yet.", advice=UpgradeDatabase())
        make_private_folder(path.parent)
        make_private_file(path)  # SQLite gives the files beside it the same rights
        close_to_others(path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm", "-journal"))
        sqlite3.connect(path).close()
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be reached ({error.strerror}); check the rights of its folder,"
            " or set PERSONAS_DATA_DIR to another one."
        ) from error
    except sqlite3.Error as error:
        raise StoreUnavailable(outage_sentence(url, error)) from error


def _check_regular(path: Path) -> None:
    """SQLite says of a folder or a pipe that it cannot be opened or that the disk fails. Raises StoreUnavailable."""
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe" if path.is_fifo() else "a device or a socket"
        raise StoreUnavailable(f"The database {path} is {kind}; set PERSONAS_DATABASE_URL to a file.")


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
            f"The database {name_of(connection.engine.url)} is not up to date with this version of personas.",
            advice=UpgradeDatabase(),
        )


def _is_up_to_date(connection: Connection) -> bool:
    """Whether the schema is this program's. Raises StoreUnavailable for one that this program does not know."""
    known, newest = _revisions()
    current = set(MigrationContext.configure(connection).get_current_heads())
    if current - known:
        raise StoreUnavailable(
            f"The database {name_of(connection.engine.url)} was written by a newer version of personas"
            f" (schema {', '.join(sorted(current - known))}); install that version,"
            " or set PERSONAS_DATABASE_URL to another database."
        )
    return current == newest


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """All migrations that this program knows, and those that no other one follows."""
    scripts = ScriptDirectory.from_config(alembic_config())
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return known, frozenset(scripts.get_heads())
