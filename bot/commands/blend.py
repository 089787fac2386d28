"""`personas blend`: saves a blend as a persona of its own, measures it and puts it before its gate."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from bot.commands.advice import base_option, personas_command, train_command
from bot.commands.new import RESTART, check_nobody, checked_slug, checked_text, usual_name
from bot.commands.output import make_console, user_name
from bot.commands.retrain import verdict_table
from bot.commands.stop_signals import stop_by_exception
from bot.new_persona.blend_draft import blend_draft
from bot.new_persona.persona_draft import PersonaDraft, Row
from bot.new_persona.persona_folder import check_free, write_draft
from bot.service.storage import open_storage
from core.adapters.content_hash import adapter_content_hash
from core.adapters.lineage import read_lineage
from core.adapters.registry import RegisteredAdapter
from core.blends import Blend, parse_blend
from core.errors import InvalidInput, NotFound
from core.personas import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, Persona, check_blend, load_persona
from core.settings import Settings
from training.adapter_folder import move_into_place, partial_folder
from training.blend_recipe import BlendRecipe
from training.blend_rows import merge_rows
from training.blending import Share, make_blend
from training.data_files import TrainingRow, read_rows
from training.first_gate import judge_first, settle_first
from training.progress import show_progress
from training.registration import register_trained
from training.run import HASH_CHARS, TrainedAdapter

REFUSED = 1


@dataclass(frozen=True, slots=True)
class _Parents:
    """Who is blended, and with which adapter versions."""

    blend: Blend
    personas: Mapping[str, Persona]
    shares: tuple[Share, ...]


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    slug = checked_slug(arguments.slug)
    name = checked_text("--name", arguments.name, MAX_NAME_CHARS) or usual_name(slug)
    description = checked_text("--description", arguments.description, MAX_DESCRIPTION_CHARS)
    check_free(settings.own_dir / slug)
    asked = BlendRecipe(
        arguments.method, arguments.rank, arguments.density, arguments.majority_sign, arguments.seed or 0
    )
    console = make_console()
    with stop_by_exception():
        parents = asyncio.run(_find(parse_blend("+".join(arguments.parts)), settings))
        draft = _draft(slug, name, description, asked.method, parents)
        asyncio.run(check_nobody(draft, settings))
        adapter = asyncio.run(_register(_make(draft, parents, asked, settings, console), settings))
        if arguments.no_evaluation:
            _tell_unmeasured(console, adapter, settings)
            return 0
        return _judge(adapter, settings, console, is_forced=arguments.force)


async def _find(blend: Blend, settings: Settings) -> _Parents:
    """Raises NotFound for a persona that is not there, or has no adapter that answers on this base model."""
    if len(blend.parts) < 2:
        raise InvalidInput("A blend is made of two personas or more; write --from codebeard:0.7 zen:0.3.")
    async with open_storage(settings) as storage, storage.store.read() as session:
        check_blend(storage.personas, blend)
        slugs = [part.slug for part in blend.parts]
        champions = await storage.registry.champions(session, slugs, settings.base_slug)
        for slug in slugs:
            if slug not in champions:
                raise NotFound(
                    f"{slug} has no adapter that answers on {settings.base_model}, so nothing of it can be blended;"
                    f" `{train_command(slug, settings.base_model)}` makes one."
                )
        shares = tuple(Share(champions[part.slug], part.weight) for part in blend.parts)
        return _Parents(blend, {slug: storage.personas[slug] for slug in slugs}, shares)


def _draft(slug: str, name: str, description: str | None, method: str, parents: _Parents) -> PersonaDraft:
    weights = [part.weight for part in parents.blend.parts]
    personas = [parents.personas[part.slug] for part in parents.blend.parts]
    held_out = merge_rows(weights, [read_rows(persona.eval_path) for persona in personas])
    train = merge_rows(weights, [read_rows(persona.train_path) for persona in personas], without=held_out)
    return blend_draft(
        slug,
        parents.personas,
        parents.blend,
        name=name,
        description=description,
        method=method,
        train=_rows(train),
        held_out=_rows(held_out),
    )


def _rows(rows: Sequence[TrainingRow]) -> list[Row]:
    return [Row(row.instruction, row.output, row.input, row.history) for row in rows]


def _make(
    draft: PersonaDraft, parents: _Parents, asked: BlendRecipe, settings: Settings, console: Console
) -> TrainedAdapter:
    """Both folders, made aside and put in their places when all of it is whole."""
    own = settings.own_dir / draft.slug
    with partial_folder(settings.adapters_dir) as partial:
        write_draft(draft, partial / "personas" / draft.slug)
        persona = load_persona(partial / "personas" / draft.slug)
        made = partial / "adapter"
        is_exact = make_blend(persona, settings, parents.shares, asked, made, data=_data(persona))
        content_hash = adapter_content_hash(made)
        write_draft(draft, own)
        target = settings.adapters_dir / draft.slug / settings.base_slug / content_hash[:HASH_CHARS]
        folder = move_into_place(made, target, is_replacing=False)
    exactness = "exactly" if is_exact else "about"
    console.print(f"{draft.name} is in {own}, its adapter in {folder}", markup=False, soft_wrap=True)
    console.print(f"It answers {exactness} as {parents.blend} does.", markup=False, soft_wrap=True)
    return TrainedAdapter(draft.slug, settings.base_slug, folder, content_hash, read_lineage(folder), False)


def _data(persona: Persona) -> dict[str, Any]:
    """What the lineage says of the rows, as of a training's."""
    content = persona.train_path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "rows": content.count(b"\n")}


async def _register(trained: TrainedAdapter, settings: Settings) -> RegisteredAdapter:
    async with open_storage(settings) as storage:
        return await register_trained(storage.store, storage.registry, trained)


def _judge(adapter: RegisteredAdapter, settings: Settings, console: Console, *, is_forced: bool) -> int:
    persona = load_persona(settings.own_dir / adapter.persona)
    with show_progress(make_console(is_error=True)) as progress:
        verdict = judge_first(persona, settings, adapter, progress)
    now = asyncio.run(
        settle_first(lambda: open_storage(settings), adapter, verdict, is_forced=is_forced, by=user_name())
    )
    console.print(verdict_table(verdict.to_dict()["checks"]))
    if "champion" in now.aliases:
        forced = "" if verdict.passed else ", although it failed its gate, because --force was given; this is recorded"
        console.print(f"{now.ref.name} answers from the next reply on{forced}.")
        console.print(RESTART, markup=False, soft_wrap=True)
        return 0
    console.print(f"{now.ref.name} did not pass its gate; the system prompt alone answers.")
    for reason in verdict.reasons:
        console.print(f"- {reason}", markup=False, soft_wrap=True)
    console.print(_promote_advice(now, settings), markup=False, soft_wrap=True)
    return REFUSED


def _tell_unmeasured(console: Console, adapter: RegisteredAdapter, settings: Settings) -> None:
    console.print(f"{adapter.ref.name} was not measured. {_promote_advice(adapter, settings)}", markup=False)


def _promote_advice(adapter: RegisteredAdapter, settings: Settings) -> str:
    words = ("promote", adapter.persona, str(adapter.version), *base_option(settings.base_model), "--force")
    return f"`{personas_command(*words)}` lets it answer all the same."
