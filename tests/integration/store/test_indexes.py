"""What is asked for every message, or of a table that grows for years, is found by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import StatementError

from core.store import consent, data_rights, exchanges, places, rollouts
from core.store.db import Store
from core.store.models import Rollout

ONLY_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

CANARY = Rollout(persona="zen", base_model="smollm2", challenger=2, champion=1, canary_at=1.0)
LOOKUPS = {
    "the consent of named people": lambda s: consent.all_have(s, ["ann", "bob"]),
    "deliveries that wait for their end": lambda s: exchanges.undelivered(s, "discord"),
    "everything about a person": lambda s: data_rights.export(s, "ann"),
    "which version answers in a conversation": lambda s: rollouts.last_answered(s, "api:1", "zen"),
    "the thumbs of a canary": lambda s: rollouts.votes(s, CANARY),
    "the failures of a canary": lambda s: rollouts.failures(s, CANARY),
    "forgetting a person": lambda s: data_rights.forget(s, "ann"),
}


async def plans(store: Store, look) -> list[str]:
    """How SQLite would look up what every statement of this asks for."""
    asked = []
    async with store.write() as session:
        connection = await session.connection()

        def note(_connection, _cursor, statement, parameters, _context, _is_many) -> None:
            asked.append((statement, parameters))

        event.listen(connection.sync_connection, "before_cursor_execute", note)
        await look(session)
        event.remove(connection.sync_connection, "before_cursor_execute", note)
        return [
            f"{row.detail} in {statement}"
            for statement, parameters in asked
            for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


@ONLY_SQLITE
@pytest.mark.parametrize("lookup", LOOKUPS)
async def test_no_table_is_read_through(store, lookup):
    found = await plans(store, LOOKUPS[lookup])
    tables = ("exchanges", "feedback", "corrections", "consents", "deliveries", "quotes")
    assert found
    assert [plan for plan in found for table in tables if plan.startswith((f"SCAN {table} ", f"SCAN {table} in"))] == []


@ONLY_SQLITE
async def test_open_deliveries_have_an_index_of_their_own(store):
    found = await plans(store, LOOKUPS["deliveries that wait for their end"])
    assert any("ix_deliveries_open" in plan for plan in found)


@ONLY_SQLITE
async def test_what_is_old_enough_to_be_erased_is_found_by_its_age(store):
    found = await plans(store, lambda session: data_rights.purge(session, before=1.0))
    assert any("ix_exchanges_finished_at" in plan for plan in found)
    assert not [plan for plan in found if plan.startswith("SCAN exchanges")]


async def test_a_source_is_called_by_small_words_and_nothing_else(store):
    for source in ("discord", "discord:reaction", "matrix-org", "irc2"):
        async with store.write() as session:
            await places.set_model(session, f"{source}:1", source=source, model="zen")
    for source in ("", "Discord", "a b", "a:b:c", ":a", "dis\ncord", "x\n"):
        with pytest.raises(StatementError, match="is no name of a source"):
            async with store.write() as session:
                await places.set_model(session, "c", source=source, model="zen")
    async with store.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM places")) == 4
