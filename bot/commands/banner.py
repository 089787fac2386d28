"""What `personas serve` says once the model answers: where, who, with which weights. Knows no sockets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.commands.advice import personas_command
from bot.commands.output import adapter_text
from bot.service.service import Service
from core.default_model import DEFAULT_MODEL
from core.settings import Settings

REAL_MODEL = "Qwen/Qwen3-4B-Instruct-2507"
REAL_MODEL_NEEDS = "Without a GPU that needs about 16 GB of memory, and half of it with PERSONAS_DTYPE=bfloat16."


def page_url(settings: Settings, address: tuple[Any, ...]) -> str:
    """The page's URL; `address` is what the socket is bound to, so port 0 shows as the port it became."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # shown, not bound
    return f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"


async def print_banner(
    console: Console,
    service: Service,
    address: tuple[Any, ...],
    *,
    chats: Sequence[tuple[str, str | None]] = (),
) -> None:
    """Print it; `chats` are platforms, and as whom the bot is there if it is by now. Raises StoreUnavailable."""
    settings, facts = service.settings, service.model_facts
    url = page_url(settings, address)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("playground", url)
    table.add_row("API", f"{url}/v1 (OpenAI-compatible)")
    for platform, greeting in chats:
        if greeting is not None:
            table.add_row(platform, escape(f"as {greeting}"))
    details = "" if facts is None else f" on {facts.device} ({facts.dtype}, quantisation {facts.quantization})"
    table.add_row("base model", escape(f"{settings.base_model}{details}"))
    async with service.store.read() as session:
        champions = await service.registry.champions(session, service.personas, settings.base_slug)
    for label, persona in zip(["personas"] + [""] * len(service.personas), service.personas.values(), strict=False):
        weights = adapter_text(persona.slug, champions.get(persona.slug), settings.base_model)
        table.add_row(label, escape(f"{persona.file.emoji} {persona.name}: {weights}"))
    console.print()
    console.print("[bold]Plug-and-Play Personas is ready.[/bold]")
    console.print(table)
    if settings.base_model == DEFAULT_MODEL:
        serve = f"PERSONAS_BASE_MODEL={REAL_MODEL} {personas_command('serve')}"
        console.print(f"SmolLM2 is small: fluent, often wrong. A larger model: {serve}", markup=False, soft_wrap=True)
        console.print(REAL_MODEL_NEEDS)
    console.print("Ctrl-C stops it.")
