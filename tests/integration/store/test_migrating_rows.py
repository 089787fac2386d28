"""Rows survive migrations, up and down."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.store.engines import create_engine
from tests.store_examples import migrate

LEDGER = "20261122_create_ledger"

FORMER_ROWS = (
    "INSERT INTO exchanges (id, source, event_id, conversation_id, user_id, model, base_model, adapters, seed,"
    " sampling, prompt, status, reply, created_at, finished_at)"
    " VALUES ('chatcmpl-1', 'slack', 'e1', 'c1', 'ann', 'zen', 'smollm2', '[]', 7,"
    """ '{"seed": 7}', '[{"role": "user", "content": "Hi"}]', 'succeeded', 'Hello.', 100.5, 101.5)""",
    "INSERT INTO conversations (id, source, model, updated_at) VALUES ('c1', 'slack', 'zen', 99.5)",
    "INSERT INTO deliveries (source, message_id, exchange_id) VALUES ('slack', 'C1:1.0', 'chatcmpl-1')",
    "INSERT INTO feedback (exchange_id, user_id, label, source, given_at)"
    " VALUES ('chatcmpl-1', 'bob', TRUE, 'slack', 102.5)",
)
FORMER_TABLES = ("exchanges", "conversations", "deliveries", "feedback")


@pytest.fixture
async def engine(url):
    engine = create_engine(url)
    await migrate(engine, command.upgrade, LEDGER)
    await execute(engine, *FORMER_ROWS)
    yield engine
    await engine.dispose()


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def rows(engine: AsyncEngine, *tables: str) -> dict[str, list[dict[str, Any]]]:
    async with engine.begin() as connection:
        return {
            table: [dict(row) for row in (await connection.execute(text(f"SELECT * FROM {table}"))).mappings()]
            for table in tables
        }


async def test_rows_of_the_first_schema_are_kept_on_the_way_up_and_back(engine):
    before = await rows(engine, *FORMER_TABLES)
    await migrate(engine, command.upgrade, "head")
    found = await rows(engine, "exchanges", "places", "deliveries", "feedback")
    (exchange,) = found["exchanges"]
    assert exchange == before["exchanges"][0] | {"variant_of": None, "question_id": None}
    assert found["feedback"] == before["feedback"]
    (place,) = found["places"]
    settings = {"identity": None, "is_free_talk": None, "is_text_kept": None}
    assert place == before["conversations"][0] | settings
    (delivery,) = found["deliveries"]
    page = {"position": 0, "is_final": True, "token": None, "created_at": 100.5}
    assert delivery == before["deliveries"][0] | page

    await migrate(engine, command.downgrade, LEDGER)
    assert await rows(engine, *FORMER_TABLES) == before


async def test_what_the_first_schema_has_no_column_for_goes_on_the_way_down_and_nothing_else(engine):
    before = await rows(engine, *FORMER_TABLES)
    await migrate(engine, command.upgrade, "head")
    await execute(
        engine,
        "INSERT INTO places (id, source, identity, updated_at) VALUES ('c2', 'slack', 'webhook', 1)",
        "INSERT INTO consents (id, user_id, version, is_given, source, happened_at)"
        " VALUES (1, 'ann', 1, TRUE, 'slack', 1)",
        "INSERT INTO quotes (exchange_id, message_id, user_id) VALUES ('chatcmpl-1', 'm', 'ann')",
        "INSERT INTO corrections (exchange_id, user_id, text, source, given_at)"
        " VALUES ('chatcmpl-1', 'ann', 'Better.', 'slack', 1)",
        "UPDATE exchanges SET variant_of = id, question_id = 'C1:0.5'",
    )
    await migrate(engine, command.downgrade, LEDGER)
    assert await rows(engine, *FORMER_TABLES) == before
