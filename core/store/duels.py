"""Duels between two versions of a persona, and the votes on them: each person's preference, or tie, counts once.

Knows no statistics of it beyond the votes themselves (`core.duel_statistics`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.duel_statistics import Score, Vote
from core.errors import NotFound
from core.store import exchanges
from core.store.db import insert
from core.store.models import Duel, Exchange, Preference

Choice = Literal["first", "tie", "second"]
"""Which of the two replies, as they were shown."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Two versions of one persona on one base model, whichever was shown first."""

    persona: str
    base_model: str
    one: int
    other: int


async def add(session: AsyncSession, first_id: str, second_id: str) -> None:
    """Note that these two finished replies stand against each other. Raises NotFound and InvalidInput for others."""
    for exchange_id in (first_id, second_id):
        await exchanges.check_finished(session, exchange_id, to_be="shown in a duel")
    session.add(Duel(first_id=first_id, second_id=second_id))
    await session.flush()


async def vote(session: AsyncSession, *, first_id: str, user_id: str, choice: Choice, source: str) -> None:
    """Note a person's vote in place of their former one on the duel that is named by its first reply. Raises NotFound.

    Votes on one duel wait for each other, so that of two presses at once only one counts.
    """
    duel = await _locked(session, first_id)
    await _remove(session, duel, user_id)
    chosen, rejected = (duel.first_id, duel.second_id) if choice != "second" else (duel.second_id, duel.first_id)
    values = {"chosen_id": chosen, "source": source, "given_at": time.time(), "is_tie": choice == "tie"}
    await session.execute(insert(session, Preference).values(user_id=user_id, rejected_id=rejected, **values))


async def withdraw(session: AsyncSession, *, first_id: str, user_id: str) -> None:
    """Take a person's vote back; taking it back again is harmless. Raises NotFound for an unknown duel."""
    await _remove(session, await _locked(session, first_id), user_id)


async def sides(session: AsyncSession, first_id: str) -> tuple[Exchange, Exchange]:
    """The two replies of a duel as they were shown. Raises NotFound."""
    first, second = aliased(Exchange), aliased(Exchange)
    found = await session.execute(
        select(first, second)
        .select_from(Duel)
        .join(first, first.id == Duel.first_id)
        .join(second, second.id == Duel.second_id)
        .where(Duel.first_id == first_id)
    )
    row = found.one_or_none()
    if row is None:
        raise _unknown(first_id)
    return row[0], row[1]


async def votes_on(session: AsyncSession, contest: Contest) -> list[Vote]:
    """Every vote on a duel of these two versions: 1 for `other`, -1 for `one`, 0 for a tie."""
    first, second = aliased(Exchange), aliased(Exchange)
    is_of_both = or_(
        and_(Preference.chosen_id == Duel.first_id, Preference.rejected_id == Duel.second_id),
        and_(Preference.chosen_id == Duel.second_id, Preference.rejected_id == Duel.first_id),
    )
    rows = await session.execute(
        select(Duel.first_id, first.adapters, second.adapters, Preference)
        .select_from(Duel)
        .join(first, first.id == Duel.first_id)
        .join(second, second.id == Duel.second_id)
        .join(Preference, is_of_both)
        .where(first.model == contest.persona, second.model == contest.persona)
        .where(first.base_model == contest.base_model, second.base_model == contest.base_model)
    )
    found = []
    for duel_id, first_adapters, second_adapters, preference in rows:
        versions = (version_of(first_adapters), version_of(second_adapters))
        if sorted(versions) != sorted((contest.one, contest.other)):
            continue
        chosen = versions[0] if preference.chosen_id == duel_id else versions[1]
        score: Score = 0 if preference.is_tie else 1 if chosen == contest.other else -1
        found.append(Vote(preference.user_id, duel_id, score, preference.given_at))
    return found


def version_of(adapters: list[dict[str, object]]) -> int:
    """The adapter version that answered alone, by what the ledger says of it; 0 where none did."""
    return int(str(adapters[0]["name"]).rpartition("@")[2]) if len(adapters) == 1 else 0


async def _locked(session: AsyncSession, first_id: str) -> Duel:
    """The duel, whose votes nobody else changes before the session ends. SQLite lets one write at a time anyway."""
    duel = await session.scalar(select(Duel).where(Duel.first_id == first_id).with_for_update())
    if duel is None:
        raise _unknown(first_id)
    return duel


async def _remove(session: AsyncSession, duel: Duel, user_id: str) -> None:
    both = (duel.first_id, duel.second_id)
    own = delete(Preference).where(Preference.user_id == user_id)
    await session.execute(own.where(Preference.chosen_id.in_(both), Preference.rejected_id.in_(both)))


def _unknown(first_id: str) -> NotFound:
    return NotFound(f'There is no duel "{first_id[:60]}" any more; begin a new one.')
