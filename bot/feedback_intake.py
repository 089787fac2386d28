"""Thumbs from buttons, the API and reactions become feedback rows. Knows no chat SDK."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from core.store import exchanges, feedback
from core.store.db import Store

Standing: TypeAlias = Mapping[str, Collection[bool]]
"""The thumbs that a reply's messages have now, by user id."""


async def record_feedback(store: Store, *, exchange_id: str, user_id: str, label: bool | None, source: str) -> None:
    """Note a person's judgement of a reply: the latest counts, None removes it.

    Raises NotFound for an unknown exchange, InvalidInput for one without a finished reply, StoreUnavailable.
    """
    async with store.write() as session:
        await feedback.record(session, exchange_id=exchange_id, user_id=user_id, label=label, source=source)


async def keep_standing(
    store: Store,
    exchange_id: str,
    standing: Standing,
    *,
    source: str,
    user_id: str | None = None,
    label: bool | None = None,
) -> None:
    """Take back the judgements that came from this source and do not stand any more: everybody's, or one person's.

    With a `label`, only thumbs up or only thumbs down are taken back, for where `standing` is known in part.

    A message that shows a reply may have shown other variants of it when a thumb was given, so those are looked at,
    too. Where a person's other thumb still stands, it counts instead. Raises StoreUnavailable.
    """
    async with store.write() as session:
        variants = [variant.id for variant in await exchanges.variants(session, exchange_id)]
        given = [row for row in await feedback.of_exchanges(session, *variants) if row.source == source]
        for row in given:
            labels = standing.get(row.user_id, ())
            if user_id not in (None, row.user_id) or label not in (None, row.label) or row.label in labels:
                continue
            judged, judge = row.exchange_id, row.user_id
            others = {other.label for other in given if other.user_id == judge} - {row.label}
            remaining = [label for label in labels if label not in others]
            if remaining and judged == exchange_id:
                await feedback.record(session, exchange_id=judged, user_id=judge, label=remaining[0], source=source)
            else:
                await feedback.remove(session, exchange_id=judged, user_id=judge)


async def give_missing(store: Store, exchange_id: str, standing: Standing, *, source: str) -> None:
    """Note the thumbs of this source that stand although nobody told of them.

    Left out are people with both thumbs, of which nobody knows the latest; those who judged this reply otherwise or,
    from this source, another variant of it, for their thumb may be older than that; and everybody where a thumb may
    stand that counts no more. Raises NotFound, InvalidInput for a reply that is not finished, and StoreUnavailable.
    """
    async with store.write() as session:
        variants = [variant.id for variant in await exchanges.variants(session, exchange_id)]
        if await feedback.has_void_thumbs(session, variants):
            return
        known = {row.user_id for row in await feedback.of_exchanges(session, *variants) if row.source == source}
        for person, labels in standing.items():
            if len(labels) == 1 and person not in known:
                label = next(iter(labels))
                await feedback.record(
                    session, exchange_id=exchange_id, user_id=person, label=label, source=source, is_latest=False
                )
