"""`personas db`: the schema of the database, and copies of it."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from alembic.script import ScriptDirectory

from bot.commands.output import make_console
from core.settings import Settings
from core.store.backup import back_up
from core.store.db import Store
from core.store.db import upgrade as upgrade_store
from core.store.schema import alembic_config


def upgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    upgrade_store(settings.store_url)
    make_console().print(f"The database is up to date (schema {_newest()}).")
    return 0


def current(arguments: argparse.Namespace, settings: Settings) -> int:
    """Raises StoreUnavailable, which says what to do, unless the schema is this program's own."""

    async def check() -> None:
        await (await Store.open(settings.store_url, create_or_upgrade=False)).close()

    asyncio.run(check())
    make_console().print(f"The database is up to date (schema {_newest()}).")
    return 0


def backup(arguments: argparse.Namespace, settings: Settings) -> int:
    back_up(settings.store_url, Path(arguments.file))
    make_console().print(f"The database is copied to {arguments.file} and intact.", markup=False)
    return 0


def _newest() -> str:
    return ScriptDirectory.from_config(alembic_config()).get_current_head() or "empty"
