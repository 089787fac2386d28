"""Locked, full and read-only databases, and several writers: real SQLite errors, and nothing lost."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.errors import NotFound, StoreUnavailable
from core.messages import ChatMessage
from core.store import exchanges, feedback
from core.store.db import Store
from tests.examples.store import new_exchange, record_answered, settle, sqlite_url

ROOT = Path(__file__).resolve().parents[3]

WRITER = """
import asyncio, sys
from core.store.db import Store
from core.store import feedback
from tests.examples.store import record_answered

async def main(url, name, count):
    store = await Store.open(url, create_or_upgrade=True)
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(count):
        async with store.write() as session:
            exchange_id = await record_answered(session, event_id=f"{name}-{n}")
            await feedback.record(session, exchange_id=exchange_id, user_id=name, label=True, source="api")
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


ONLY_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "personas.db"


async def count(store: Store, table: str) -> int:
    async with store.write() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table}"))


async def test_what_a_session_wrote_is_rolled_back_when_its_body_raises(store):
    with pytest.raises(NotFound):
        async with store.write() as session:
            await exchanges.record(session, new_exchange())
            raise NotFound("gone")
    assert await count(store, "exchanges") == 0


@ONLY_SQLITE
async def test_a_locked_database_is_a_sentence_and_works_again_afterwards(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    new = new_exchange()
    with pytest.raises(StoreUnavailable, match=r"personas\.db is locked by another program"):
        async with store.write() as session:
            await exchanges.record(session, new)
    other.execute("COMMIT")
    other.close()
    async with store.write() as session:
        assert await exchanges.record(session, new)


@ONLY_SQLITE
async def test_a_full_disk_is_a_sentence_and_loses_nothing_that_was_written(store):
    async with store.write() as session:
        kept = await record_answered(session)
        # SQLite's own limit: it raises the very error that a full disk does.
        pages = await session.scalar(text("PRAGMA page_count"))
        await session.execute(text(f"PRAGMA max_page_count = {pages}"))
    long = new_exchange(prompt=(ChatMessage("user", "x" * 100_000),))
    with pytest.raises(StoreUnavailable, match="disk is full; free some space"):
        async with store.write() as session:
            await exchanges.record(session, long)
    async with store.write() as session:
        assert await exchanges.find(session, long.id) is None
        assert (await exchanges.find(session, kept)).reply == "Arr, a stack."
        await session.execute(text("PRAGMA max_page_count = 100000"))
        assert await exchanges.record(session, long)


@ONLY_SQLITE
async def test_a_read_only_database_is_a_sentence(store):
    async with store.write() as session:
        await session.execute(text("PRAGMA query_only = ON"))
    with pytest.raises(StoreUnavailable, match="cannot be written; check the rights"):
        async with store.write() as session:
            await exchanges.record(session, new_exchange())


async def test_a_broken_rule_is_our_mistake_and_no_outage(store):
    with pytest.raises(IntegrityError):
        async with store.write() as session:
            await session.execute(text("INSERT INTO places (id) VALUES ('c')"))


async def test_many_sessions_at_once_all_get_their_turn(store):
    async def answer(n: int) -> None:
        new = new_exchange(event_id=str(n))
        async with store.write() as session:
            await exchanges.record(session, new)
        async with store.write() as session:
            await exchanges.mark_running(session, new.id)
        async with store.write() as session:
            assert await settle(session, new.id)

    await asyncio.gather(*(answer(n) for n in range(32)))
    async with store.write() as session:
        assert await exchanges.unfinished(session) == []
    assert await count(store, "exchanges") == 32


async def test_a_session_that_is_cancelled_frees_the_database(store):
    has_begun = asyncio.Event()

    async def write_forever() -> None:
        async with store.write() as session:
            await exchanges.record(session, new_exchange())
            has_begun.set()
            await asyncio.Event().wait()

    writer = asyncio.create_task(write_forever())
    await has_begun.wait()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    assert await count(store, "exchanges") == 0


async def test_two_processes_write_at_once_and_nothing_is_lost(path):
    url = sqlite_url(path)
    command = (sys.executable, "-W", "error", "-c", WRITER, url)
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "cwd": ROOT}
    writers = [await asyncio.create_subprocess_exec(*command, name, "40", **pipes) for name in ("ann", "bob")]
    for writer in writers:
        assert await writer.stdout.readline() == b"ready\n"
    await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    assert [writer.returncode for writer in writers] == [0, 0]
    store = await Store.open(url, create_or_upgrade=False)
    async with store.write() as session:
        assert [(tally.up, tally.down) for tally in await feedback.tally(session)] == [(80, 0)]
    await store.close()
