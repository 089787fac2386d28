"""Adapter versions and aliases in the database. Knows no folders and no rules: those are core.adapters.registry's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.advice import ListVersions
from core.errors import NotFound
from core.store.db import insert
from core.store.models import AdapterAlias, AdapterVersion, RegistryEvent, TrainingExample

Alias = Literal["champion", "challenger", "previous"]
MAX_ROWS = 500  # in one statement; databases bound its parameters


async def get(session: AsyncSession, persona: str, base_slug: str, version: int) -> AdapterVersion:
    """One version. Raises NotFound."""
    is_storable = 0 < version < 2**31  # beyond that the driver raises its own error
    stored = await session.get(AdapterVersion, (persona, base_slug, version)) if is_storable else None
    if stored is None:
        raise NotFound(f"{persona} has no version {version} on {base_slug}.", advice=ListVersions(persona))
    return stored


async def find_by_content(
    session: AsyncSession, persona: str, base_slug: str, content_hash: str
) -> AdapterVersion | None:
    """The version that holds exactly these weights and config."""
    return await session.scalar(
        select(AdapterVersion).where(*_is_of(persona, base_slug), AdapterVersion.content_hash == content_hash)
    )


async def with_content(session: AsyncSession, content_hash: str) -> list[AdapterVersion]:
    """The versions of any persona and base model that hold these weights and config, the oldest first."""
    same = select(AdapterVersion).where(AdapterVersion.content_hash == content_hash)
    return list(await session.scalars(same.order_by(AdapterVersion.created_at)))


async def versions(session: AsyncSession, persona: str, base_slug: str) -> list[AdapterVersion]:
    """Every version, the oldest first."""
    statement = select(AdapterVersion).where(*_is_of(persona, base_slug)).order_by(AdapterVersion.version)
    return list(await session.scalars(statement))


async def bases_of(session: AsyncSession, persona: str) -> list[str]:
    """The base models, as slugs, that a persona has versions for."""
    statement = select(AdapterVersion.base_model).where(AdapterVersion.persona == persona).distinct()
    return list(await session.scalars(statement.order_by(AdapterVersion.base_model)))


async def add(session: AsyncSession, persona: str, base_slug: str, **values: Any) -> AdapterVersion:
    """Write the next version, numbered from 1."""
    newest = await session.scalar(select(func.max(AdapterVersion.version)).where(*_is_of(persona, base_slug)))
    stored = AdapterVersion(persona=persona, base_model=base_slug, version=(newest or 0) + 1, **values)
    session.add(stored)
    await session.flush()
    return stored


async def aliases(session: AsyncSession, persona: str, base_slug: str, *, is_locking: bool = False) -> dict[Alias, int]:
    """Where the aliases point. `is_locking` makes others wait who want to move them; SQLite always does."""
    statement = select(AdapterAlias.alias, AdapterAlias.version).where(
        AdapterAlias.persona == persona, AdapterAlias.base_model == base_slug
    )
    rows = await session.execute(statement.with_for_update() if is_locking else statement)
    return {cast(Alias, alias): version for alias, version in rows}


async def named(session: AsyncSession, personas: Collection[str], base_slug: str) -> list[tuple[AdapterVersion, Alias]]:
    """The versions of these personas that an alias points at, once for each."""
    is_same = (
        (AdapterAlias.persona == AdapterVersion.persona)
        & (AdapterAlias.base_model == AdapterVersion.base_model)
        & (AdapterAlias.version == AdapterVersion.version)
    )
    statement = select(AdapterVersion, AdapterAlias.alias).join(AdapterAlias, is_same)
    rows = await session.execute(
        statement.where(AdapterVersion.persona.in_(personas), AdapterVersion.base_model == base_slug)
    )
    return [(row, cast(Alias, alias)) for row, alias in rows]


async def point(session: AsyncSession, persona: str, base_slug: str, alias: Alias, version: int) -> None:
    """Let an alias point at this version."""
    await session.merge(AdapterAlias(persona=persona, base_model=base_slug, alias=alias, version=version))


async def drop(session: AsyncSession, persona: str, base_slug: str, alias: Alias, version: int) -> None:
    """Remove an alias if it points at this version."""
    await session.execute(
        delete(AdapterAlias).where(
            AdapterAlias.persona == persona,
            AdapterAlias.base_model == base_slug,
            AdapterAlias.alias == alias,
            AdapterAlias.version == version,
        )
    )


async def note_examples(session: AsyncSession, stored: AdapterVersion, exchange_ids: Collection[str]) -> None:
    """Record what a version learned from, so that forgetting can name it; known ones stay as they are."""
    values = [
        {"persona": stored.persona, "base_model": stored.base_model, "version": stored.version, "exchange_id": one}
        for one in sorted(set(exchange_ids))
    ]
    for start in range(0, len(values), MAX_ROWS):
        statement = insert(session, TrainingExample).values(values[start : start + MAX_ROWS])
        await session.execute(statement.on_conflict_do_nothing())


async def examples(session: AsyncSession, persona: str, base_slug: str) -> set[str]:
    """The exchanges that any version of this persona on this base model learned from."""
    statement = select(TrainingExample.exchange_id).where(
        TrainingExample.persona == persona, TrainingExample.base_model == base_slug
    )
    return set(await session.scalars(statement))


def note(
    session: AsyncSession,
    stored: AdapterVersion,
    kind: str,
    *,
    actor: str,
    former_champion: int | None = None,
    is_forced: bool = False,
    reason: str | None = None,
) -> None:
    """Record what happened to a version, with its gate as it stands."""
    session.add(
        RegistryEvent(
            persona=stored.persona,
            base_model=stored.base_model,
            kind=kind,
            version=stored.version,
            former_champion=former_champion,
            gate_passed=stored.gate_passed,
            is_forced=is_forced,
            actor=actor,
            reason=reason,
        )
    )


async def events(session: AsyncSession, persona: str, base_slug: str) -> list[RegistryEvent]:
    """What happened to the versions, the oldest first."""
    of_persona = (RegistryEvent.persona == persona, RegistryEvent.base_model == base_slug)
    return list(await session.scalars(select(RegistryEvent).where(*of_persona).order_by(RegistryEvent.id)))


def _is_of(persona: str, base_slug: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return AdapterVersion.persona == persona, AdapterVersion.base_model == base_slug
