"""Remembers that the database could not be written, or is damaged, and finds out when that is over."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import StoreUnavailable
from core.store.models import Exchange
from core.store.outages import SQLITE_ADVICE, driver_code, name_of

TRIED_AGAIN_AFTER_S = 1.0
CHECKED_AGAIN_AFTER_S = 60.0  # a whole database is read then
ANSWERED_WITHIN_S = 1.0
LEAST_FREE_BYTES = 2**20  # on its disk; less counts as full, once a write has failed
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StoreHealth:
    """What the last transaction said of the database. That some writes work on a damaged one counts for nothing.

    `try_write` and `check` are transactions that tell of their end here, as all others do.
    """

    def __init__(
        self, url: URL, *, try_write: Callable[[], Awaitable[None]], check: Callable[[], Awaitable[None]]
    ) -> None:
        self._url = url
        self._try_write = try_write
        self._check = check
        self._failed: StoreUnavailable | None = None
        self._is_damaged = False
        self._trying: asyncio.Task[None] | None = None
        self._tried_at = 0.0
        self._file = _identity(url)

    def note_success(self, *, is_reading: bool) -> None:
        if not is_reading and not self._is_damaged:
            self._failed = None

    def note_failure(self, error: StoreUnavailable, *, is_reading: bool) -> None:
        is_damaged = driver_code(error) in DAMAGE
        self._is_damaged |= is_damaged
        if is_damaged or not is_reading:
            self._failed = error

    async def problem(self) -> StoreUnavailable | None:
        """Why the database could not be written the last time, or is damaged; None when it works, again or still.

        Tries it now and then, as nobody may be sending messages to a server that says that it is not ready.
        """
        if self._file is not None and _identity(self._url) != self._file:
            return StoreUnavailable(
                f"The database {name_of(self._url)} was moved, removed or replaced while this program runs; put the"
                " file back, or start the program again."
            )
        if self._failed is not None:
            await self._try_again()
        return self._failed

    async def close(self) -> None:
        if self._trying is not None:
            await asyncio.wait({self._trying})

    async def _try_again(self) -> None:
        if self._trying is None or self._trying.done():
            pause_s = CHECKED_AGAIN_AFTER_S if self._is_damaged and self._trying else TRIED_AGAIN_AFTER_S
            if time.monotonic() < self._tried_at + pause_s:
                return
            self._tried_at = time.monotonic()
            self._trying = asyncio.create_task(self._find_out())
        await asyncio.wait({self._trying}, timeout=ANSWERED_WITHIN_S)

    async def _find_out(self) -> None:
        was_damaged, self._is_damaged = self._is_damaged, False
        try:
            if was_damaged:
                await self._check()
            _check_space(self._url)
            await self._try_write()
        except StoreUnavailable as error:
            self._failed, self._is_damaged = error, self._is_damaged or was_damaged


async def write_something(session: AsyncSession) -> None:
    """Read a row and change nothing that anybody reads, so that it is written to the disk all the same."""
    await session.execute(select(Exchange.id).limit(1))
    if session.get_bind().dialect.name == "sqlite":
        version = (await session.execute(text("PRAGMA user_version"))).scalar_one()
        await session.execute(text(f"PRAGMA user_version = {(version + 1) % 2**31}"))
    else:
        await session.execute(text("CREATE TEMP TABLE personas_can_write () ON COMMIT DROP"))


async def check_integrity(session: AsyncSession) -> None:
    """Read an SQLite database as a whole. Raises StoreUnavailable when it is damaged; another looks after itself."""
    if session.get_bind().dialect.name != "sqlite":
        return
    found = (await session.execute(text("PRAGMA quick_check(1)"))).scalar_one()
    if found != "ok":
        url = session.get_bind().engine.url
        raise StoreUnavailable(f"The database {name_of(url)} {SQLITE_ADVICE[sqlite3.SQLITE_CORRUPT]}.")


def _check_space(url: URL) -> None:
    """A small write may still find room in SQLite's own files. Raises StoreUnavailable while the disk is full."""
    if url.get_backend_name() != "sqlite":
        return
    with suppress(OSError):  # whoever writes next says why
        if shutil.disk_usage(Path(url.database or "").parent).free < LEAST_FREE_BYTES:
            raise StoreUnavailable(f"The database {name_of(url)} {SQLITE_ADVICE[sqlite3.SQLITE_FULL]}.")


def _identity(url: URL) -> tuple[int, int] | None:
    """Which file an SQLite database is; None where there is none."""
    if url.get_backend_name() != "sqlite":
        return None
    try:
        found = Path(url.database or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
