"""The PostgreSQL server that PERSONAS_TEST_POSTGRES_URL names, with databases that are emptied for each test."""

from __future__ import annotations

import os

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from core.store.db import Store
from core.store.models import Base

URL = os.environ.get("PERSONAS_TEST_POSTGRES_URL")
MISSING = "PERSONAS_TEST_POSTGRES_URL names no PostgreSQL database to test with (its server gets further ones)"

_migrated: set[str] = set()


async def empty_postgres() -> str:
    """An empty database's URL. Of the processes that run tests side by side each has two databases of its own."""
    url = await _own_database("empty")
    await _execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return url


async def migrated_postgres() -> str:
    """The URL of a database with the schema of today and no rows. It is migrated once in a process."""
    url = await _own_database("migrated")
    if url not in _migrated:
        await _execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        await (await Store.open(url, create_or_upgrade=True)).close()
        _migrated.add(url)
    tables = ", ".join(f'"{table}"' for table in Base.metadata.tables)
    await _execute(url, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    return url


async def _own_database(kind: str) -> str:
    assert URL is not None, MISSING
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    own = make_url(URL).set(database=f"{make_url(URL).database}_{kind}_{worker}")
    engine = create_async_engine(URL, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        known = await connection.scalars(text("SELECT datname FROM pg_database"))
        if own.database not in set(known):
            await connection.execute(text(f'CREATE DATABASE "{own.database}"'))
    await engine.dispose()
    return own.render_as_string(hide_password=False)


async def _execute(url: str, *statements: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()
