"""Tells Discord the commands, and only when they changed: it allows few such writes. Knows no single command."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import discord
from discord import app_commands

from core.errors import InvalidData, NotFound
from core.outside_files import read_json

FILE_NAME = "discord_commands.json"

logger = logging.getLogger(__name__)


class CommandSync:
    """Keeps a digest of what was told last in the data folder, for the application it was told for."""

    def __init__(self, tree: app_commands.CommandTree[Any], folder: Path) -> None:
        self._tree = tree
        self._path = folder / FILE_NAME
        self._lock = asyncio.Lock()  # every shard says that it is connected

    async def run(self) -> None:
        """Tell Discord the commands if they changed. A refusal is logged: the bot talks without them."""
        async with self._lock:
            told = {"application": self._tree.client.application_id, "digest": digest(self._tree)}
            if await asyncio.to_thread(self._read) == told:
                return
            try:
                commands = await self._tree.sync()
            except (discord.HTTPException, app_commands.CommandSyncFailure, aiohttp.ClientError, OSError) as error:
                logger.warning(
                    "Discord did not take the commands (%s); they stay as they were until the bot connects again", error
                )
                return
            await asyncio.to_thread(self._write, told)
            logger.info("Told Discord the commands: %s", ", ".join(command.name for command in commands))

    def _read(self) -> Any:
        try:
            return read_json(self._path)
        except (InvalidData, NotFound):  # not there yet, or half of it: then they are told again
            return None

    def _write(self, told: Mapping[str, Any]) -> None:
        whole = self._path.with_suffix(".new")
        whole.write_text(json.dumps(told), encoding="utf-8")
        whole.replace(self._path)


def digest(tree: app_commands.CommandTree[Any]) -> str:
    """The same for the same definitions, whatever their order."""
    text = json.dumps(_by_name(_local(tree)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


async def drift(tree: app_commands.CommandTree[Any]) -> list[str]:
    """How the commands that Discord has differ from ours, a sentence each; empty when they don't.

    The tree's client must be logged in. Raises discord.HTTPException and app_commands.MissingApplicationID.
    """
    client = tree.client
    if client.application_id is None:
        raise app_commands.MissingApplicationID
    # Not tree.fetch_commands: discord.py 2.7 misreads the contexts and installs that Discord sends.
    told = await client.http.get_global_commands(client.application_id)
    ours, theirs = _by_name(_local(tree)), _by_name(told)
    missing = [f'Discord does not have the command "{name}".' for name in sorted(ours.keys() - theirs.keys())]
    unknown = [
        f'Discord has a command "{name}" that this version does not.' for name in sorted(theirs.keys() - ours.keys())
    ]
    shared = sorted(ours.keys() & theirs.keys())
    changed = [f'Discord has another form of the command "{name}".' for name in shared if ours[name] != theirs[name]]
    return missing + unknown + changed


def _local(tree: app_commands.CommandTree[Any]) -> list[dict[str, Any]]:
    kinds = (discord.AppCommandType.chat_input, discord.AppCommandType.message, discord.AppCommandType.user)
    return [command.to_dict(tree) for kind in kinds for command in tree.get_commands(type=kind)]


def _by_name(definitions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {definition["name"]: _plain(definition) for definition in definitions}


def _plain(value: Any) -> Any:
    """A definition without what Discord adds, and without what says nothing: null, false, an empty list or text."""
    added = ("id", "application_id", "version", "guild_id", "dm_permission")
    if isinstance(value, Mapping):
        plain = {key: _plain(inner) for key, inner in value.items() if key not in added}
        if permissions := plain.get("default_member_permissions"):
            plain["default_member_permissions"] = str(permissions)  # a number in ours, text in Discord's
        return {key: inner for key, inner in plain.items() if inner not in (None, False, [], {}, "")}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
