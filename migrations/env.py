"""Alembic's environment. core.store.schema brings a connection; the `alembic` command uses the settings' database."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection

from core.settings import load_settings
from core.store.engines import create_engine
from core.store.models import Base


def run_on(connection: Connection) -> None:
    # SQLite's DDL is transactional too, because create_engine emits BEGIN itself.
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_configured_database() -> None:
    engine = create_engine(load_settings().store_url)
    async with engine.begin() as connection:
        await connection.run_sync(run_on)
    await engine.dispose()


def print_sql() -> None:
    context.configure(url=load_settings().store_url, target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    print_sql()
elif (connection := context.config.attributes.get("connection")) is not None:
    run_on(connection)
else:
    asyncio.run(run_on_configured_database())
