"""The open database, and what its dialects say in different words. Knows no tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from core.errors import StoreUnavailable
from core.store.deferred import Change, DeferredChanges
from core.store.engines import POSTGRES_CONNECTIONS, SQLITE_READERS, create_engine, make_no_file, reading_engine
from core.store.health import StoreHealth, check_integrity, write_something
from core.store.models import Base
from core.store.outages import outages_as_sentences
from core.store.schema import prepare
from core.store.sessions import Door, to_the_end

Session: TypeAlias = AsyncSession

TEXT_LOCK = 0x74657874  # "text": PostgreSQL's lock that `take_turns` takes


class Store:
    """The open database. Reads run side by side, and on SQLite beside a write; there, writes take turns."""

    def __init__(self, engine: AsyncEngine) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        writers, readers = (1, SQLITE_READERS) if is_sqlite else (POSTGRES_CONNECTIONS, POSTGRES_CONNECTIONS)
        turns = asyncio.Semaphore(writers)
        self._health = StoreHealth(engine.url, try_write=self._write_something, check=self.check_integrity)
        self._writing = Door(engine, turns, writers, is_reading=False, health=self._health)
        reading = reading_engine(engine)
        make_no_file(engine)
        make_no_file(reading)
        reading_turns = asyncio.Semaphore(readers) if is_sqlite else turns
        self._reading = Door(reading, reading_turns, readers, is_reading=True, health=self._health)
        self._deferred = DeferredChanges(self._writing.transaction)

    @classmethod
    async def open(cls, url: str, *, create_or_upgrade: bool) -> Store:
        """Connect, and bring the schema up to date or check that it is.

        Raises InvalidSetting for an unusable URL, and StoreUnavailable when the database cannot be reached, is newer
        than this program, or is not up to date and `create_or_upgrade` is False.
        """
        engine = create_engine(url)
        try:
            with outages_as_sentences(engine.url):
                await to_the_end(prepare(engine, is_upgrade=create_or_upgrade))
        except BaseException:
            await to_the_end(engine.dispose())
            raise
        return cls(engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one moment of the database and cannot write: that raises the driver's own error.

        What is written on the strength of something read is read again in `write`. Raises StoreUnavailable.
        """
        async with self._reading.transaction() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back when the body raises or is cancelled.

        Keep the body short, for others wait: read no file, ask no network, and open no second one inside it.
        Raises StoreUnavailable when the database is locked, full, read-only or gone; then nothing was written.
        """
        async with self._deferred.transaction() as session:
            yield session

    def write_soon(self, change: Change) -> None:
        """Let a change ride with the next `write`, or go alone a moment later (see `DeferredChanges` for which may)."""
        self._deferred.add(change)

    async def problem(self) -> StoreUnavailable | None:
        """Why the last write failed, or the database is damaged; None when it works, again or still."""
        return await self._health.problem()

    async def check_integrity(self) -> None:
        """Read an SQLite database as a whole, which takes a while. Raises StoreUnavailable when it is damaged."""
        async with self.read() as session:
            await check_integrity(session)

    async def _write_something(self) -> None:
        async with self._writing.transaction() as session:
            await write_something(session)

    async def flush(self) -> None:
        """Write now what was to be written soon. Raises StoreUnavailable."""
        await self._deferred.flush()

    async def close(self) -> None:
        await self._health.close()
        await self._deferred.close()
        await self._reading.close()
        await self._writing.close()


def upgrade(url: str) -> None:
    """Create the schema or bring it to this program's version; harmless when it is. Raises what `Store.open` does."""

    async def open_and_close() -> None:
        await (await Store.open(url, create_or_upgrade=True)).close()

    asyncio.run(open_and_close())


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


# Changes that leave the session's own objects behind; the reads in core.store fetch them again.
UNSYNCHRONIZED = {"synchronize_session": False}
