"""`personas data`: what an operator does for a person who asks by other ways than the chat platform's own commands."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bot.commands.advice import personas_command
from bot.commands.output import make_console
from bot.service.retention import erase_old_text
from core.errors import PermissionNeeded
from core.settings import Settings
from core.store import data_rights
from core.store.data_rights import Forgotten
from core.store.db import Store

Result = TypeVar("Result")


def show(arguments: argparse.Namespace, settings: Settings) -> int:
    """Everything about a person, as JSON."""

    async def export(store: Store) -> dict[str, Any]:
        async with store.read() as session:
            return await data_rights.export(session, arguments.user)

    make_console().print_json(json.dumps(_with_store(settings, export)))
    return 0


def forget(arguments: argparse.Namespace, settings: Settings) -> int:
    """Raises PermissionNeeded without --yes, as nothing brings back what is erased."""
    if not arguments.is_sure:
        show = personas_command("data", "show", arguments.user)
        erase = personas_command("data", "forget", arguments.user, "--yes")
        raise PermissionNeeded(f"Nothing brings back what is erased; look at `{show}` first, then run `{erase}`.")

    async def forget_person(store: Store) -> Forgotten:
        async with store.write() as session:
            return await data_rights.forget(session, arguments.user)

    done = _with_store(settings, forget_person)
    console = make_console()
    console.print(
        f"Erased: exchanges {done.exchanges}, thumbs {done.feedback}, picks {done.preferences},"
        f" better answers {done.corrections}."
    )
    if done.versions:
        slugs = dict.fromkeys(version.partition("@")[0] for version in done.versions)
        rebuild = ", ".join(f"`{personas_command('retrain', slug)}`" for slug in slugs)
        console.print(
            f"Adapter versions that learnt from them: {', '.join(done.versions)}. They go on as they are;"
            f" {rebuild} trains {'a new one' if len(slugs) == 1 else 'new ones'} without these examples.",
            markup=False,
            soft_wrap=True,
        )
    return 0


def purge(arguments: argparse.Namespace, settings: Settings) -> int:
    """Erase old text now, as a running service does every day. Raises ClockDoubted."""

    async def erase(store: Store) -> int:
        return await erase_old_text(
            store, keep_text_days=settings.keep_text_days, is_clock_trusted=arguments.is_clock_trusted
        )

    erased = _with_store(settings, erase)
    make_console().print(f"Erased the text of {erased} exchanges older than {settings.keep_text_days} days.")
    return 0


def _with_store(settings: Settings, do: Callable[[Store], Awaitable[Result]]) -> Result:
    """What `do` returns, given the open store. Raises StoreUnavailable."""

    async def run() -> Result:
        store = await Store.open(settings.store_url, create_or_upgrade=settings.is_sqlite)
        try:
            return await do(store)
        finally:
            await store.close()

    return asyncio.run(run())
