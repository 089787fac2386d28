"""`personas train`: trains an adapter, registers it, and says what to do next. Never promotes; `--bundle` ships."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from functools import partial

from bot.chat.adapter_cards import evaluation_text
from bot.commands.advice import base_option, personas_command
from bot.commands.arguments import RECIPE_OPTIONS
from bot.commands.output import make_console, user_name
from bot.commands.stop_signals import stop_by_exception
from bot.service.storage import open_storage
from core.adapters.registry import RegisteredAdapter
from core.errors import InvalidInput, StoreUnavailable
from core.personas import Persona, find_persona
from core.settings import Settings
from training.progress import show_progress
from training.registration import register_trained
from training.run import TrainedAdapter, TrainingStopped
from training.sft import train as train_adapter

RECIPE_NAMES = (*(name.replace("-", "_") for name, _, _ in RECIPE_OPTIONS), "targets", "quantization")


def train(arguments: argparse.Namespace, settings: Settings) -> int:
    with stop_by_exception():
        persona = asyncio.run(_find(arguments.persona, settings))
        if arguments.bundle and persona.folder.parent != settings.dir:
            raise InvalidInput(
                f"{persona.slug} is a persona of your own, in {persona.folder}, and ships with nothing; leave --bundle"
                " out."
            )
        trained = _train(persona, arguments, settings)
        adapter = asyncio.run(_register(trained, settings))
    console = make_console()
    console.print(f"{adapter.ref.name} is in {trained.folder}", soft_wrap=True)
    if figures := evaluation_text(adapter):
        console.print(f"On rows it never saw: {figures}.")
    elif arguments.quick:
        version = ("--version", str(adapter.version))
        measure = personas_command("evaluate", persona.slug, *version, *base_option(settings.base_model))
        console.print(f"It was not measured; `{measure}` does that.", markup=False, soft_wrap=True)
    console.print(_next_step(adapter, settings.base_model), markup=False, soft_wrap=True)
    return 0


def _train(persona: Persona, arguments: argparse.Namespace, settings: Settings) -> TrainedAdapter:
    """Train with a progress report. Raises TrainingStopped with the command that goes on."""
    recipe = {name: value for name in RECIPE_NAMES if (value := getattr(arguments, name)) is not None}
    try:
        with show_progress(make_console(is_error=True)) as progress:
            return train_adapter(
                persona,
                settings,
                bundle=arguments.bundle,
                is_evaluated=not (arguments.no_evaluation or arguments.quick),
                is_quick=arguments.quick,
                is_resumed=arguments.resume,
                on_shipped=partial(_ship, settings),
                progress=progress,
                **recipe,
            )
    except TrainingStopped as stop:
        if stop.step is None:
            raise
        command = _resume_command(persona, arguments, settings.base_model, recipe)
        advice = f" `{command}` goes on from step {stop.step}."
        raise TrainingStopped(stop.persona, stop.step, stop.exit_code, advice) from stop


def _resume_command(persona: Persona, arguments: argparse.Namespace, base_model: str, recipe: dict[str, object]) -> str:
    """The same command with --resume: what goes on must be what was begun."""
    options = [word for name, value in recipe.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    flags = [f"--{name}" for name in ("bundle", "quick", "no-evaluation") if getattr(arguments, name.replace("-", "_"))]
    return personas_command("train", persona.slug, *options, *flags, *base_option(base_model), "--resume")


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
        async with open_storage(settings, shipped_by=user_name()) as storage:
            return await register_trained(storage.store, storage.registry, trained)
    except StoreUnavailable as error:
        register = personas_command("versions", trained.persona, *base_option(settings.base_model))
        raise StoreUnavailable(
            f"The adapter is trained and lies in {trained.folder}, but is not registered; `{register}` does that as"
            f" soon as the database can be used: {error}",
            advice=error.advice,
        ) from error


def _next_step(adapter: RegisteredAdapter, base_model: str) -> str:
    if "champion" in adapter.aliases:
        return f"It answers for {adapter.persona} from the next reply on."
    promote = personas_command("promote", adapter.persona, str(adapter.version), *base_option(base_model), "--force")
    return f"It does not answer yet; `{promote}` lets it."
