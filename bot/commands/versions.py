"""`personas versions`, `promote` and `rollback`: adapter versions and the names that move over them."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from rich.markup import escape
from rich.table import Table

from bot.chat.adapter_cards import evaluation_text
from bot.commands.advice import train_command
from bot.commands.output import make_console, moment, user_name
from bot.service.storage import open_storage
from core.adapters.check import check_adapter, local_fingerprint
from core.adapters.registry import RegisteredAdapter
from core.adapters.rollout import RolloutStanding, read_standing
from core.personas import find_persona
from core.settings import Settings
from core.store import adapter_versions

EVENT_FIELDS = ("happened_at", "kind", "version", "former_champion", "gate_passed", "is_forced", "actor", "reason")
GATES = {None: "not tried", True: "passed", False: "failed"}


def list_versions(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.events:
        return _list_events(arguments, settings)
    slug, versions, standing = asyncio.run(_versions(arguments.persona, settings))
    if arguments.is_json:
        make_console().print_json(json.dumps([_as_json(version) for version in versions]))
        return 0
    if not versions:
        advice = f"`{train_command(slug, settings.base_model)}` makes one."
        make_console().print(escape(f"{slug} has no adapter for {settings.base_model}; {advice}"), soft_wrap=True)
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("version", "aliases", "gate", "origin", "registered", "evaluation", "content hash"):
        table.add_column(heading)
    for version in versions:
        table.add_row(
            version.ref.name,
            ", ".join(version.aliases),
            GATES[version.gate_passed],
            version.origin,
            moment(version.created_at),
            evaluation_text(version),
            version.ref.content_hash[:12],
        )
    make_console().print(table)
    if standing is not None:
        make_console().print(f"Rollout: {standing.sentence}", markup=False, soft_wrap=True)
    return 0


def _list_events(arguments: argparse.Namespace, settings: Settings) -> int:
    events = asyncio.run(_events(arguments.persona, settings))
    if arguments.is_json:
        make_console().print_json(json.dumps(events))
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("when", "what", "version", "in place of", "by", "why"):
        table.add_column(heading, overflow="fold")
    for event in events:
        forced = " (forced)" if event["is_forced"] else ""
        table.add_row(
            moment(event["happened_at"]),
            f"{event['kind'].replace('_', ' ')}{forced}",
            str(event["version"]),
            str(event["former_champion"] or ""),
            escape(event["actor"]),
            escape(event["reason"] or ""),
        )
    make_console().print(table)
    return 0


def promote(arguments: argparse.Namespace, settings: Settings) -> int:
    promoted = asyncio.run(_promote(arguments, settings))
    make_console().print(f"{promoted.ref.name} answers from the next reply on.")
    return 0


def rollback(arguments: argparse.Namespace, settings: Settings) -> int:
    restored = asyncio.run(_rollback(arguments, settings))
    make_console().print(f"{restored.ref.name} answers again from the next reply on.")
    return 0


async def _versions(persona: str, settings: Settings) -> tuple[str, list[RegisteredAdapter], RolloutStanding | None]:
    async with open_storage(settings) as storage, storage.store.read() as session:
        slug = find_persona(storage.personas, persona).slug
        standing = await read_standing(session, slug, settings.base_slug)
        return slug, await storage.registry.versions(session, slug, settings.base_slug), standing


async def _events(persona: str, settings: Settings) -> list[dict[str, Any]]:
    async with open_storage(settings) as storage, storage.store.read() as session:
        slug = find_persona(storage.personas, persona).slug
        found = await adapter_versions.events(session, slug, settings.base_slug)
        return [{name: getattr(event, name) for name in EVENT_FIELDS} for event in found]


async def _promote(arguments: argparse.Namespace, settings: Settings) -> RegisteredAdapter:
    version = arguments.version
    async with open_storage(settings) as storage:
        slug = find_persona(storage.personas, arguments.persona).slug
        async with storage.store.read() as session:
            chosen = await storage.registry.get(session, slug, settings.base_slug, version)
        _check(chosen, settings)
        return await storage.registry.promote(
            storage.store,
            slug,
            settings.base_slug,
            version,
            force=arguments.force,
            by=user_name(),
            reason=arguments.reason,
        )


async def _rollback(arguments: argparse.Namespace, settings: Settings) -> RegisteredAdapter:
    async with open_storage(settings) as storage:
        slug = find_persona(storage.personas, arguments.persona).slug
        async with storage.store.read() as session:
            versions = await storage.registry.versions(session, slug, settings.base_slug)
        for version in versions:
            if "previous" in version.aliases:
                _check(version, settings)
        rollback = storage.registry.rollback
        return await rollback(storage.store, slug, settings.base_slug, by=user_name(), reason=arguments.reason)


def _check(version: RegisteredAdapter, settings: Settings) -> None:
    """Raises AdapterRejected for a version that could not answer: another base model's, say."""
    check_adapter(version.ref, version.folder, version.lineage, local_fingerprint(settings.base_model_path))


def _as_json(version: RegisteredAdapter) -> dict[str, object]:
    return {
        "name": version.ref.name,
        "version": version.version,
        "base_model": version.base_model,
        "aliases": version.aliases,
        "gate_passed": version.gate_passed,
        "gate_report": version.gate_report,
        "origin": version.origin,
        "created_at": version.created_at,
        "content_hash": version.ref.content_hash,
        "lineage": version.lineage,
    }
