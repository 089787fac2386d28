"""Rows survive migrations, up and down."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from core.store.engines import create_engine
from tests.examples.store import migrate

LEDGER = "20261122_create_ledger"
VOID_THUMBS = "20261122_note_void_thumbs"

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
    page = {"position": 0, "is_final": True, "token": None, "created_at": 100.5, "head_chars": None, "tail_chars": None}
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


async def test_users_of_the_api_get_names_of_their_own_and_keep_their_thumbs_up_and_down(engine):
    await migrate(engine, command.upgrade, VOID_THUMBS)
    thumb = "INSERT INTO feedback (exchange_id, user_id, label, source, given_at) VALUES"
    await execute(
        engine,
        "INSERT INTO exchanges (id, source, event_id, conversation_id, user_id, model, base_model, adapters, seed,"
        " sampling, status, created_at, finished_at) VALUES ('chatcmpl-2', 'api', 'e2', 'c2', 'discord:7', 'zen',"
        """ 'smollm2', '[]', 7, '{"seed": 7}', 'succeeded', 100.5, 101.5)""",
        f"{thumb} ('chatcmpl-2', 'x', TRUE, 'api', 1)",
        f"{thumb} ('chatcmpl-2', 'api:x', FALSE, 'api', 2)",  # where the first one's new name would stand
        "UPDATE exchanges SET user_id = '' WHERE id = 'chatcmpl-1'",
    )
    before = await rows(engine, "exchanges", "feedback")
    await migrate(engine, command.upgrade, "head")
    after = await rows(engine, "exchanges", "feedback")
    assert {row["user_id"] for row in after["exchanges"]} == {"", "api:discord:7"}
    assert {(row["user_id"], bool(row["label"])) for row in after["feedback"]} == {
        ("bob", True),
        ("api:x", True),
        ("api:api:x", False),
    }
    await migrate(engine, command.downgrade, VOID_THUMBS)
    again = await rows(engine, "exchanges", "feedback")
    assert sorted(again["feedback"], key=str) == sorted(before["feedback"], key=str)
    assert sorted(again["exchanges"], key=str) == sorted(before["exchanges"], key=str)


async def test_an_identity_of_a_platform_yet_to_come_is_kept_and_only_goes_on_the_way_down(engine):
    await migrate(engine, command.upgrade, "head")
    place = "INSERT INTO places (id, source, identity, is_free_talk, updated_at) VALUES"
    await execute(
        engine, f"{place} ('c2', 'slack', 'bot user', TRUE, 1)", f"{place} ('c3', 'discord', 'webhook', NULL, 2)"
    )
    await migrate(engine, command.downgrade, VOID_THUMBS)
    found = (await rows(engine, "places"))["places"]
    assert {row["id"]: row["identity"] for row in found} == {"c1": None, "c2": None, "c3": "webhook"}
    with pytest.raises(IntegrityError):
        await execute(engine, f"{place} ('c4', 'slack', 'bot user', NULL, 3)")
