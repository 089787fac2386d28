"""`personas new`: makes the folder of a persona of one's own, and says what to do next. Loads no model."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Iterator

from rich.console import Console

from bot.commands.advice import base_option, personas_command, train_command
from bot.commands.output import make_console
from bot.new_persona.card_texts import one_line
from bot.new_persona.from_card import CardDraft, draft_from_card
from bot.new_persona.persona_draft import PersonaDraft
from bot.new_persona.persona_folder import check_free, write_draft
from bot.new_persona.starter import starter_draft
from bot.service.storage import Storage, open_storage
from core.blends import BASE, SLUG_PATTERN
from core.errors import InvalidInput
from core.persona_names import name_key
from core.personas import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, RESERVED_NAMES
from core.settings import Settings
from core.store import adapter_versions

RESTART = "A `personas serve` that is running sees it after a restart, on Discord and in the playground, too."


def new(arguments: argparse.Namespace, settings: Settings) -> int:
    slug = checked_slug(arguments.slug)
    name = checked_text("--name", arguments.name, MAX_NAME_CHARS)
    description = checked_text("--description", arguments.description, MAX_DESCRIPTION_CHARS)
    check_free(settings.own_dir / slug)
    from_card = None
    if arguments.card is not None:
        from_card = draft_from_card(slug, arguments.card.expanduser(), name=name, description=description)
    draft = from_card.draft if from_card else starter_draft(slug, name or usual_name(slug), description)
    asyncio.run(check_nobody(draft, settings))
    write_draft(draft, settings.own_dir / slug)
    _tell(make_console(), draft, from_card, settings)
    return 0


def checked_slug(text: str) -> str:
    """The slug itself. Raises InvalidInput that says what a slug may be, and with luck one that fits."""
    if SLUG_PATTERN.fullmatch(text) and text != BASE:
        return text
    if text == BASE:
        raise InvalidInput(f'"{BASE}" is the base model without a persona; choose another short name.')
    near = re.sub("[^a-z0-9_]+", "-", text.lower()).strip("-_")[:32]
    example = f", such as {near}" if SLUG_PATTERN.fullmatch(near) and near != BASE else ""
    raise InvalidInput(
        f'"{one_line(text)[:60]}" is no short name; use a-z, 0-9, - and _, 32 characters at most, and begin with a'
        f" letter or digit{example}."
    )


def usual_name(slug: str) -> str:
    """What a persona of this slug is called where nobody says otherwise."""
    return " ".join(re.split("[-_]+", slug)).strip().title()


def checked_text(option: str, text: str | None, limit: int) -> str | None:
    """What was typed, on one line. Raises InvalidInput."""
    if text is None:
        return None
    line = one_line(text)
    if not 0 < len(line) <= limit:
        problem = f"is {len(line)} characters long; at most {limit} are allowed" if line else "is empty; leave it out"
        raise InvalidInput(f"{option} {problem}.")
    return line


async def check_nobody(draft: PersonaDraft, settings: Settings) -> None:
    """Raises InvalidInput when the slug is somebody's, or was: former adapters would speak for the new persona."""
    slug = draft.slug
    async with open_storage(settings) as storage, storage.store.read() as session:
        if slug in storage.personas:
            raise InvalidInput(
                f"There is a persona {slug} already, in {storage.personas[slug].folder}; choose another short name."
            )
        bases = await adapter_versions.bases_of(session, slug)
        _check_name(draft, storage)
    former = settings.adapters_dir / slug
    if bases or (former.is_dir() and any(former.iterdir())):
        where = f"for {', '.join(bases)}" if bases else f"in {former}"
        raise InvalidInput(
            f"There are adapters of a former persona {slug}, {where}, which would speak for the new one; choose another"
            " short name."
        )


def _check_name(draft: PersonaDraft, storage: Storage) -> None:
    """People may choose a persona by its name, so no two have the same, and none has another's slug for a name."""
    name = name_key(draft.name)
    named = {name_key(persona.name): slug for slug, persona in storage.personas.items()}
    if name in named or name in storage.personas or name in RESERVED_NAMES:
        whose = named.get(name, name)
        raise InvalidInput(
            f'"{draft.name}" already means {whose} where people choose who answers; give another --name.'
        )


def _tell(console: Console, draft: PersonaDraft, from_card: CardDraft | None, settings: Settings) -> None:
    chat = personas_command("chat", draft.slug, *base_option(settings.base_model))
    lines = [f"{draft.name} is in {settings.own_dir / draft.slug}"]
    if from_card is not None:
        lines += _about_card(from_card)
    lines += [
        f"Next: rewrite {', '.join(name for name in draft.files() if name != 'avatar.png')} there.",
        f"`{chat}` talks at once, through the system prompt.",
        f"`{train_command(draft.slug, settings.base_model)}` makes it an adapter of train.jsonl.",
        RESTART,
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _about_card(from_card: CardDraft) -> Iterator[str]:
    yield f"Taken from the card (spec {from_card.spec}): {'; '.join(from_card.taken)}."
    yield from from_card.changed
    for line in from_card.left_out:
        yield f"Not taken: {line}."
    yield "A stranger may have written it: read system_prompt.md and the rows before others talk to it."
