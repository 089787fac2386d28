"""Opening, upgrading and refusing databases: real SQLite files and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.advice import UpgradeDatabase
from core.errors import StoreUnavailable
from core.store.db import Store, upgrade
from core.store.engines import create_engine
from core.store.models import Base
from tests.examples.store import migrate, sqlite_url
from tests.running.postgres import MISSING, URL


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "personas.db"


@pytest.fixture
async def engine(url):
    engine = create_engine(url)
    yield engine
    await engine.dispose()


def test_postgresql_is_tested_beside_sqlite():
    if URL is None and os.environ.get("CI") != "true":
        pytest.skip(MISSING)
    assert URL is not None, MISSING


async def inspected(engine: AsyncEngine, look):
    async with engine.begin() as connection:
        return await connection.run_sync(look)


def rules(connection) -> dict[str, tuple[object, object]]:
    """What Alembic does not compare: every table's key and its CHECKs."""
    look = inspect(connection)
    return {
        table: (
            look.get_pk_constraint(table),
            sorted(look.get_check_constraints(table), key=lambda check: check["name"]),
        )
        for table in look.get_table_names()
    }


async def test_migrations_walk_up_down_and_up_again(engine):
    tables = set(Base.metadata.tables) | {"alembic_version"}
    for _ in range(2):
        await migrate(engine, command.upgrade, "head")
        assert set(await inspected(engine, lambda c: inspect(c).get_table_names())) == tables
        await migrate(engine, command.downgrade, "base")
        assert await inspected(engine, lambda c: inspect(c).get_table_names()) == ["alembic_version"]


async def test_the_models_are_the_migrated_schema(engine):
    await migrate(engine, command.upgrade, "head")
    assert await inspected(engine, lambda c: compare_metadata(MigrationContext.configure(c), Base.metadata)) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_keys_and_checks_are_migrated_too(engine, tmp_path):
    await migrate(engine, command.upgrade, "head")
    modelled = create_engine(sqlite_url(tmp_path / "modelled.db"))
    await inspected(modelled, Base.metadata.create_all)
    expected = await inspected(modelled, rules)
    await modelled.dispose()
    migrated = await inspected(engine, rules)
    migrated.pop("alembic_version")
    assert migrated == expected


async def test_a_migration_that_fails_leaves_the_old_schema_whole(engine):
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE feedback (mine TEXT)"))
    with pytest.raises(Exception, match=r"feedback\"? already exists"):
        await migrate(engine, command.upgrade, "head")
    assert await inspected(engine, lambda c: inspect(c).get_table_names()) == ["feedback"]


async def test_opening_makes_folder_file_and_schema_and_opening_again_is_harmless(path):
    for may_create in (True, True, False):
        store = await Store.open(sqlite_url(path), create_or_upgrade=may_create)
        await store.close()
    assert path.exists()


def test_upgrade_works_without_a_running_loop(path):
    upgrade(sqlite_url(path))
    upgrade(sqlite_url(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM exchanges").fetchone() == (0,)


async def test_connections_use_wal_full_sync_foreign_keys_and_wait_five_seconds(path):
    store = await Store.open(sqlite_url(path), create_or_upgrade=True)
    async with store.write() as session:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = [await session.scalar(text(f"PRAGMA {name}")) for name in pragmas]
    await store.close()
    assert values == ["wal", 2, 1, 5000]


async def test_several_processes_worth_of_openings_at_once_migrate_once(path):
    stores = await asyncio.gather(
        *(Store.open(sqlite_url(path, "?timeout=60"), create_or_upgrade=True) for _ in range(4))
    )
    for store in stores:
        await store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


async def test_a_missing_database_is_not_created_without_leave(path):
    with pytest.raises(StoreUnavailable, match=r"no database .*personas\.db yet\.") as refused:
        await Store.open(sqlite_url(path), create_or_upgrade=False)
    assert refused.value.advice == UpgradeDatabase()
    assert not path.parent.exists()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has pipes and devices among its files")
@pytest.mark.parametrize("may_create", [True, False])
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device or a socket"])
async def test_what_is_no_file_is_called_what_it_is(tmp_path, kind, may_create):
    path = tmp_path / "personas.db"
    match kind:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(os.devnull)
    with pytest.raises(StoreUnavailable) as refused:
        await Store.open(sqlite_url(path), create_or_upgrade=may_create)
    assert str(refused.value) == f"The database {path} is {kind}; set PERSONAS_DATABASE_URL to a file."


async def test_an_unmigrated_database_is_not_upgraded_without_leave(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(StoreUnavailable, match=r"not up to date with this version") as refused:
        await Store.open(sqlite_url(path), create_or_upgrade=False)
    assert refused.value.advice == UpgradeDatabase()


@pytest.mark.parametrize("may_upgrade", [True, False])
async def test_a_database_from_a_newer_version_is_left_alone(path, may_upgrade):
    await (await Store.open(sqlite_url(path), create_or_upgrade=True)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '29990101_add_telepathy'")
    with pytest.raises(StoreUnavailable, match=r"newer version of personas \(schema 29990101_add_telepathy\)"):
        await Store.open(sqlite_url(path), create_or_upgrade=may_upgrade)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("29990101_add_telepathy",)


async def test_a_file_that_is_no_database_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(StoreUnavailable, match=r"holiday\.jpg is not an SQLite database"):
        await Store.open(sqlite_url(path), create_or_upgrade=True)
    assert path.read_bytes() == b"not a database " * 100


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(
        StoreUnavailable, match=r"personas\.db cannot be reached \(.*\); check the rights of its folder"
    ):
        await Store.open(sqlite_url(tmp_path / "data" / "personas.db"), create_or_upgrade=True)


async def test_opening_a_database_that_another_program_holds_says_so(path):
    url = sqlite_url(path, "?timeout=0.05")
    await (await Store.open(url, create_or_upgrade=True)).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match=r"personas\.db is locked by another program"):
        await Store.open(url, create_or_upgrade=True)
    other.close()
