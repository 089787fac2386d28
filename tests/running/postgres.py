"""The PostgreSQL server that PERSONAS_TEST_POSTGRES_URL names, with a database that is emptied for each test."""

from __future__ import annotations

import os

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ.get("PERSONAS_TEST_POSTGRES_URL")
MISSING = "PERSONAS_TEST_POSTGRES_URL names no PostgreSQL database to test with (its tables would be dropped)"


async def empty_postgres() -> str:
    """An empty database's URL. Of the processes that run tests side by side each has a database of its own."""
    assert URL is not None, MISSING
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    url = URL if worker is None else await _own_database(URL, worker)
    await _execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return url


async def _own_database(url: str, worker: str) -> str:
    own = make_url(url).set(database=f"{make_url(url).database}_{worker}")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
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
