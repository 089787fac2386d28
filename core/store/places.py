"""What servers, channels, threads and browser sessions chose. Knows no defaults of the bot and no chat platform."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import null, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.store.db import insert
from core.store.models import Exchange, ExchangePlace, Place


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """How the bot behaves somewhere; what nobody chose is off.

    `identity` is how a persona shows itself: "message", or another word of the platform. `model` is the canonical blend
    spec that answers, None where nobody chose one.
    """

    identity: str = "message"
    is_free_talk: bool = False
    is_text_kept: bool = False
    model: str | None = None


class Changes(TypedDict, total=False):
    """What `change` may change; None leaves the decision to a wider place again."""

    identity: str | None
    is_free_talk: bool | None
    is_text_kept: bool | None


async def model_of(session: AsyncSession, *place_ids: str) -> str | None:
    """The canonical blend spec that the first of these places to choose one chose; None when none did.

    Name the narrowest place first: conversation, thread, channel, server.
    """
    model: str | None = _first(await _rows(session, place_ids), "model")
    return model


@dataclass(frozen=True, slots=True)
class PlaceChoices:
    """What is chosen for a message in these places. `widest_model` is what the last of them, the server, chose."""

    settings: PlaceSettings = PlaceSettings()
    widest_model: str | None = None


async def choices_of(session: AsyncSession, *place_ids: str) -> PlaceChoices:
    """Who answers and how the bot behaves there; name the narrowest place first."""
    rows = await _rows(session, place_ids)
    widest = [row for row in rows if row.id == place_ids[-1]]
    return PlaceChoices(_settings(rows), _first(widest, "model"))


async def set_model(session: AsyncSession, place_id: str, *, source: str, model: str | None) -> None:
    """Let `model` (a canonical blend spec or "base") answer here from now on; None leaves it to a wider place."""
    await _write(session, place_id, source=source, model=model)


async def settings_of(session: AsyncSession, *place_ids: str) -> PlaceSettings:
    """Each setting as the first of these places that says something about it has it; name the narrowest first."""
    return _settings(await _rows(session, place_ids))


async def settings_of_each(session: AsyncSession, *chains: tuple[str, ...]) -> list[PlaceSettings]:
    """The same for many places at once, each with those around it."""
    rows = {row.id: row for row in await _rows(session, tuple({place for chain in chains for place in chain}))}
    return [_settings([rows[place] for place in chain if place in rows]) for chain in chains]


async def free_talk_of(session: AsyncSession, *place_ids: str) -> bool | None:
    """Whether the first of these places to say something about it has free talk; None when none did."""
    chosen: bool | None = _first(await _rows(session, place_ids), "is_free_talk")
    return chosen


async def change(session: AsyncSession, place_id: str, *, source: str, **changes: Unpack[Changes]) -> None:
    """Change what is named and leave the rest as it is."""
    await _write(session, place_id, source=source, **changes)


async def with_identity(session: AsyncSession, identity: str) -> set[str]:
    """The places that chose this identity themselves."""
    return set(await session.scalars(select(Place.id).where(Place.identity == identity)))


async def with_something_kept(session: AsyncSession, prefix: str) -> list[str]:
    """The places whose id begins so and that chose something, or where text that is kept was said."""
    settled = select(Place.id).where(Place.id.startswith(prefix, autoescape=True))
    said = (
        select(ExchangePlace.place_id)
        .join(Exchange, Exchange.id == ExchangePlace.exchange_id)
        .where(ExchangePlace.place_id.startswith(prefix, autoescape=True), Exchange.prompt.is_not(null()))
    )
    return list(await session.scalars(union(settled, said)))


async def with_something_kept_inside(session: AsyncSession, prefix: str, *, around: str) -> list[tuple[str, str]]:
    """Those whose id begins with `prefix`, each with the place around it, whose id begins with `around`.

    Left out are places that lie in none such, and those where nobody ever asked anything.
    """
    outer = aliased(ExchangePlace)
    found = (
        select(ExchangePlace.place_id, outer.place_id)
        .join(outer, outer.exchange_id == ExchangePlace.exchange_id)
        .join(Exchange, Exchange.id == ExchangePlace.exchange_id)
        .where(ExchangePlace.place_id.startswith(prefix, autoescape=True))
        .where(outer.place_id.startswith(around, autoescape=True))
        .where(or_(Exchange.prompt.is_not(null()), ExchangePlace.place_id.in_(select(Place.id))))
    )
    return [(inner, around_it) for inner, around_it in await session.execute(found.distinct())]


async def _rows(session: AsyncSession, place_ids: tuple[str, ...]) -> list[Place]:
    """The rows of the places that have one, in the order of `place_ids`."""
    found = await session.scalars(
        select(Place).where(Place.id.in_(place_ids)).execution_options(populate_existing=True)
    )
    return sorted(found, key=lambda row: place_ids.index(row.id))


def _settings(rows: list[Place]) -> PlaceSettings:
    chosen = {name: _first(rows, name) for name in PlaceSettings.__dataclass_fields__}
    return PlaceSettings(**{name: value for name, value in chosen.items() if value is not None})


def _first(rows: list[Place], column: str) -> Any:
    return next((value for row in rows if (value := getattr(row, column)) is not None), None)


async def _write(session: AsyncSession, place_id: str, *, source: str, **chosen: Any) -> None:
    chosen["updated_at"] = time.time()
    statement = insert(session, Place).values(id=place_id, source=source, **chosen)
    await session.execute(statement.on_conflict_do_update(index_elements=[Place.id], set_=chosen))
