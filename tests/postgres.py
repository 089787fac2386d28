"""The PostgreSQL server that PERSONAS_TEST_POSTGRES_URL names, emptied for each test."""

from __future__ import annotations

import os

from sqlalchemy import text

from core.store.db import create_engine

URL = os.environ.get("PERSONAS_TEST_POSTGRES_URL")
MISSING = "PERSONAS_TEST_POSTGRES_URL names no PostgreSQL database to test with (its tables would be dropped)"


async def empty_postgres() -> str:
    """The database's URL, all its tables gone."""
    assert URL is not None, MISSING
    engine = create_engine(URL)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
    return URL
