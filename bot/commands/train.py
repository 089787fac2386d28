"""`personas train`: trains an adapter, registers it, and says what to do next. Never promotes; `--bundle` ships."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from functools import partial

from bot.arguments import RECIPE_OPTIONS
from bot.commands.output import evaluation_text, make_console, user_name
from bot.storage import open_storage
from core.advice import base_option, personas_command
from core.errors import InvalidInput, StoreUnavailable
from core.personas import Persona, find_persona
from core.registry import RegisteredAdapter
from core.settings import Settings
from training.progress import progress_bar
from training.registration import register_trained
from training.sft import TrainedAdapter
from training.sft import train as train_adapter


def train(arguments: argparse.Namespace, settings: Settings) -> int:
    persona = asyncio.run(_find(arguments.persona, settings))
    if arguments.bundle and persona.folder.parent != settings.dir:
        raise InvalidInput(
            f"{persona.slug} is a persona of your own, in {persona.folder}, and ships with nothing; leave --bundle out."
        )
    names = [name.replace("-", "_") for name, _, _ in RECIPE_OPTIONS]
    recipe = {name: getattr(arguments, name) for name in (*names, "targets", "quantization")}
    with progress_bar(make_console(is_error=True)) as progress:
        trained = train_adapter(
            persona,
            settings,
            bundle=arguments.bundle,
            is_evaluated=not arguments.no_evaluation,
            on_shipped=partial(_ship, settings),
            progress=progress,
            **{name: value for name, value in recipe.items() if value is not None},
        )
    adapter = asyncio.run(_register(trained, settings))
    console = make_console()
    console.print(f"{adapter.ref.name} is in {trained.folder}", soft_wrap=True)
    if figures := evaluation_text(adapter):
        console.print(f"On rows it never saw: {figures}.")
    console.print(_next_step(adapter, settings.base_model), markup=False, soft_wrap=True)
    return 0


async def _find(slug: str, settings: Settings) -> Persona:
    """The persona. What could keep the adapter from being registered fails here, before the training."""
    async with open_storage(settings) as storage:
        return find_persona(storage.personas, slug)


def _ship(settings: Settings) -> None:
    """Make a bundled adapter known at once: until then a running server finds changed files under the old version."""

    async def register_bundled() -> None:
        async with open_storage(settings, shipped_by=user_name()):
            pass

    with suppress(StoreUnavailable):  # tried again when the adapter is measured
        asyncio.run(register_bundled())


async def _register(trained: TrainedAdapter, settings: Settings) -> RegisteredAdapter:
    """Opening the storage registers what is bundled; then this finds it by its content."""
    try:
        async with (
            open_storage(settings, shipped_by=user_name()) as storage,
            storage.store.session() as session,
        ):
            return await register_trained(session, storage.registry, trained)
    except StoreUnavailable as error:
        register = personas_command("versions", trained.persona, *base_option(settings.base_model))
        raise StoreUnavailable(
            f"The adapter is trained and lies in {trained.folder}, but is not registered; `{register}` does that as"
            f" soon as the database can be used: {error}"
        ) from error


def _next_step(adapter: RegisteredAdapter, base_model: str) -> str:
    if "champion" in adapter.aliases:
        return f"It answers for {adapter.persona} from the next reply on."
    promote = personas_command("promote", adapter.persona, str(adapter.version), *base_option(base_model), "--force")
    return f"It does not answer yet; `{promote}` lets it."
