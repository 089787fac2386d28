"""SQLite databases as the migrations make them, without running the migrations for every test."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from core.store import db
from tests.examples.store import sqlite_url


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as apart_from_any_event_loop:
        path = Path(folder) / "personas.db"
        apart_from_any_event_loop.submit(db.upgrade, sqlite_url(path)).result()
        return path.read_bytes()


def place_database(path: Path) -> None:
    """Put an empty, migrated database there, unless there is one already."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(_migrated())
