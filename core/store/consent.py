"""A person's yes or no to keeping their text: off by default, versioned, with its history. Knows no chat platform."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.store import erasure
from core.store.db import take_turns
from core.store.models import Consent

CONSENT_VERSION = 2
"""Rises whenever what people agree to changes. A yes to an older version is no yes to this one.

2: judged answers and better answers teach new versions where the operator recorded the platform's permission, then or
later. Version 1 said that nothing trains on them yet, or that they are held back, so a yes to it does not cover that.
"""


async def give(session: AsyncSession, user_id: str, *, source: str) -> None:
    """Note that this person agrees to the current version; saying so again is harmless."""
    if not await all_have(session, (user_id,)):
        session.add(Consent(user_id=user_id, version=CONSENT_VERSION, is_given=True, source=source))


async def withdraw(session: AsyncSession, user_id: str) -> int:
    """Note that this person agrees no longer, and erase the text that was kept because they did.

    Returns how many exchanges lost their text. Harmless for somebody who never agreed.
    """
    said = await history(session, user_id)
    if not said or not said[-1].is_given:
        return 0
    session.add(Consent(user_id=user_id, version=said[-1].version, is_given=False, source=said[-1].source))
    await session.flush()
    return await erasure.erase_words_of(session, user_id)


async def has(session: AsyncSession, user_id: str) -> bool:
    """Whether this person agrees to the current version at this moment, to be shown and not to be acted upon."""
    return user_id in await _agreed(session, (user_id,))


async def all_have(session: AsyncSession, user_ids: Collection[str]) -> bool:
    """Whether every one of these people agrees to the current version, and will do so until the transaction's end."""
    await take_turns(session, is_shared=True)
    return set(user_ids) <= await _agreed(session, user_ids)


async def history(session: AsyncSession, user_id: str) -> list[Consent]:
    """Everything this person said about it, the oldest first."""
    return list(await session.scalars(select(Consent).where(Consent.user_id == user_id).order_by(Consent.id)))


def consenting() -> Select[str]:
    """The ids of everybody who agrees to the current version, as a query. Of named people, their index tells."""
    later = aliased(Consent)
    is_latest = ~exists().where(later.user_id == Consent.user_id, later.id > Consent.id)
    return select(Consent.user_id).where(is_latest, Consent.is_given, Consent.version == CONSENT_VERSION)


async def _agreed(session: AsyncSession, user_ids: Collection[str]) -> set[str]:
    return set(await session.scalars(consenting().where(Consent.user_id.in_(user_ids))))
