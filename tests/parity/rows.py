"""What a conversation leaves in the store, without what differs from run to run: ids become names, times go."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from core.store.db import Store
from core.store.models import (
    Base,
    Consent,
    Correction,
    Delivery,
    Duel,
    Exchange,
    ExchangePlace,
    Feedback,
    Place,
    Preference,
    Quote,
    VoidThumbs,
)

TABLES: tuple[type[Base], ...] = (  # those with times first: they give the names
    Exchange, Delivery, Place, ExchangePlace, Quote, Feedback, VoidThumbs, Preference, Duel, Correction, Consent,
)  # fmt: skip
TIMES = {"updated_at", "created_at", "started_at", "finished_at", "given_at", "happened_at"}
# By chance, by what else the engine does, with the next write, and by what the platform shows above a reply.
DRAWN = {"seed", "cached_tokens", "is_final", "head_chars", "tail_chars"}
EXCHANGES = {"exchange_id", "variant_of", "chosen_id", "rejected_id", "first_id", "second_id"}
WIDEST = {"guild": "wide", "workspace": "wide"}  # what a platform calls its widest place
Row = dict[str, Any]


class Names:
    """Calls every id by its kind and the order in which it came up: "exchange 1", "message 3"."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def name(self, kind: str, value: str | None) -> str | None:
        if not value:  # none, or forgotten
            return value
        if value not in self._given:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._given[value] = f"{kind} {self._counts[kind]}"
        return self._given[value]

    def place(self, value: str) -> str | None:
        if not value:  # forgotten
            return value
        kind = value.split(":")[1] if value.count(":") > 1 else "conversation"  # which has but one name of its own
        return self.name(WIDEST.get(kind, kind), value)


async def rows_of(store: Store, names: Names) -> dict[str, list[Row]]:
    """By table, with rows in an order that no id decides."""
    found: dict[str, list[Row]] = {}
    async with store.read() as session:
        for table in TABLES:
            rows = list(await session.scalars(select(table)))
            if table in (Exchange, Delivery):
                rows.sort(key=lambda row: row.created_at)  # type: ignore[attr-defined]
            found[table.__tablename__] = [_row(row, names) for row in rows]
    return {name: rows if name == "exchanges" else sorted(rows, key=str) for name, rows in found.items()}


def differences(here: dict[str, list[Row]], there: dict[str, list[Row]], *, between: tuple[str, str]) -> list[str]:
    """Table by table, the rows that only one of the two has."""
    one, other = between
    found = []
    for table, rows in here.items():
        others = there[table]
        found += [f"{table}: only on {one}: {row}" for row in rows if row not in others]
        found += [f"{table}: only on {other}: {row}" for row in others if row not in rows]
        if len(rows) != len(others):
            found.append(f"{table}: {len(rows)} rows on {one}, {len(others)} on {other}")
    return found


def _row(row: Base, names: Names) -> Row:
    return {
        column.name: _value(row, column.name, getattr(row, column.name), names)
        for column in row.__table__.columns
        if column.name not in DRAWN
    }


def _value(row: Base, column: str, value: Any, names: Names) -> Any:
    table = row.__tablename__
    if column in TIMES or (table, column) == ("consents", "id"):
        return value is not None
    if column == "source":
        return None
    if column in EXCHANGES or (table, column) == ("exchanges", "id"):
        return names.name("exchange", value)
    if column == "place_id" or (table, column) == ("places", "id") or column == "conversation_id":
        return names.place(value)
    if column in ("message_id", "question_id"):
        return names.name("message", value)
    if column == "user_id":
        return names.name("person", value)
    if column == "event_id":
        return value.partition(":")[0]
    if column == "sampling":
        return {name: given for name, given in value.items() if name != "seed"}
    return value
