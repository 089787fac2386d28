"""`personas list` and `personas show`: who there is, and with which weights. Loads no model."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from bot.chat.adapter_cards import evaluation_of, evaluation_text
from bot.commands.argument_parts import MAX_VERSION_DIGITS
from bot.commands.output import adapter_text, make_console, moment
from bot.service.storage import open_storage
from core.adapters.card import card_text
from core.adapters.registry import RegisteredAdapter
from core.personas import Persona, find_persona
from core.settings import Settings
from core.store import adapter_versions


def list_personas(arguments: argparse.Namespace, settings: Settings) -> int:
    personas, champions = asyncio.run(_champions(settings))
    if arguments.is_json:
        rows = [_as_json(persona, champions.get(slug), settings) for slug, persona in personas.items()]
        make_console().print_json(json.dumps(rows))
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("persona", "name", "answers with", "base model", "evaluation"):
        table.add_column(heading, overflow="fold")
    for slug, persona in personas.items():
        champion = champions.get(slug)
        table.add_row(
            slug,
            escape(f"{persona.file.emoji} {persona.name}"),
            escape(adapter_text(slug, champion, settings.base_model)),
            escape(settings.base_model),
            evaluation_text(champion),
        )
    make_console().print(table)
    return 0


def show_persona(arguments: argparse.Namespace, settings: Settings) -> int:
    if "@" in arguments.persona:
        make_console().print(Markdown(asyncio.run(_card(arguments.persona, settings))))
        return 0
    personas, champions = asyncio.run(_champions(settings))
    persona = find_persona(personas, arguments.persona)
    champion = champions.get(persona.slug)
    console = make_console()
    console.print(f"[bold]{escape(persona.file.emoji)} {escape(persona.name)}[/bold] ({persona.slug})")
    console.print(escape(persona.file.description))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in _facts(persona, champion, settings).items():
        table.add_row(name, escape(value))
    console.print(table)
    console.print("\n[dim]system prompt[/dim]")
    console.print(escape(persona.system_prompt))
    return 0


async def _card(name: str, settings: Settings) -> str:
    """The card of the version that `name` names, as in zen@3. Raises NotFound."""
    slug, _, number = name.partition("@")
    async with open_storage(settings) as storage, storage.store.read() as session:
        persona = find_persona(storage.personas, slug)
        is_number = number.isascii() and number.isdigit()
        version = await storage.registry.get(
            session, persona.slug, settings.base_slug, int(number[:MAX_VERSION_DIGITS]) if is_number else 0
        )
        return card_text(version, await adapter_versions.events(session, persona.slug, settings.base_slug))


async def _champions(settings: Settings) -> tuple[dict[str, Persona], dict[str, RegisteredAdapter]]:
    """Every persona, and the adapter version that answers for each that has one."""
    async with open_storage(settings) as storage, storage.store.read() as session:
        return dict(storage.personas), await storage.registry.champions(session, storage.personas, settings.base_slug)


def _facts(persona: Persona, champion: RegisteredAdapter | None, settings: Settings) -> dict[str, str]:
    facts = {
        "answers with": adapter_text(persona.slug, champion, settings.base_model),
        "base model": settings.base_model,
        "folder": str(persona.folder),
        "greeting": persona.file.greeting,
    }
    if champion is not None:
        facts |= {
            "adapter folder": str(champion.folder),
            "content hash": champion.ref.content_hash,
            "origin": f"{champion.origin}, registered {moment(champion.created_at)}",
            "evaluation": evaluation_text(champion),
        }
    return facts


def _as_json(persona: Persona, champion: RegisteredAdapter | None, settings: Settings) -> dict[str, Any]:
    return {
        "persona": persona.slug,
        "name": persona.name,
        "description": persona.file.description,
        "base_model": settings.base_model,
        "adapter": None if champion is None else champion.ref.name,
        "version": None if champion is None else champion.version,
        "content_hash": None if champion is None else champion.ref.content_hash,
        "evaluation": evaluation_of(champion),
    }
