"""`personas data`, in a process of its own and without torch."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from sqlalchemy import update

from core.store import corrections, exchanges, feedback, places
from core.store.db import Store
from core.store.models import AdapterVersion, Exchange, TrainingExample
from tests.examples.store import record_answered, sqlite_url
from tests.running.command import TORCH_FREE, assert_one_sentence, personas

DM = "discord:channel:5"


@pytest.fixture
def ledger(tmp_path):
    """The id of a reply to Ann that she and Bob judged, long ago, and the database; there is one to Bob, too.

    Hers is in a chat with the bot alone, where she chose a persona.
    """
    url = sqlite_url(tmp_path / "personas.db")

    async def fill() -> str:
        store = await Store.open(url, create_or_upgrade=True)
        async with store.write() as session:
            asked = await record_answered(session, user_id="discord:1", source="discord", places=(DM,))
            await exchanges.add_delivery(session, asked, "5/6")
            await places.set_model(session, DM, source="discord", model="zen")
            await record_answered(session, user_id="discord:2")
            for user_id in ("discord:1", "discord:2"):
                await feedback.record(session, exchange_id=asked, user_id=user_id, label=True, source="discord")
            await session.execute(update(Exchange).where(Exchange.id == asked).values(finished_at=1.0))
        await store.close()
        return asked

    return asyncio.run(fill()), url


def look_into_dm(ledger) -> tuple[list[str], str | None]:
    """The messages that show the reply to Ann, and who answers there."""
    exchange_id, url = ledger

    async def find() -> tuple[list[str], str | None]:
        store = await Store.open(url, create_or_upgrade=False)
        async with store.write() as session:
            shown = [delivery.message_id for delivery in await exchanges.deliveries_of(session, exchange_id)]
            model = await places.model_of(session, DM)
        await store.close()
        return shown, model

    return asyncio.run(find())


def look_up(ledger) -> tuple[Exchange, list[str]]:
    """The reply to Ann as it is now, and who judged it."""
    exchange_id, url = ledger

    async def find() -> tuple[Exchange, list[str]]:
        store = await Store.open(url, create_or_upgrade=False)
        async with store.write() as session:
            row = await exchanges.find(session, exchange_id)
            judges = [found.user_id for found in await feedback.of_exchanges(session, exchange_id)]
        await store.close()
        return row, judges

    return asyncio.run(find())


def test_showing_a_person_prints_json_that_a_program_can_read(ledger, tmp_path):
    done = personas("data", "show", "discord:1", data_dir=tmp_path, without=TORCH_FREE)
    found = json.loads(done.stdout)
    assert [row["id"] for row in found["exchanges"]] == [ledger[0]]
    assert found["exchanges"][0]["prompt"] == [{"role": "user", "content": "What is a stack?"}]


def test_nobody_is_forgotten_by_a_slip_of_the_hand(ledger, tmp_path):
    done = personas("data", "forget", "discord:1", data_dir=tmp_path)
    assert_one_sentence(done, "personas data forget discord:1 --yes", status=1)
    row, judges = look_up(ledger)
    assert (row.user_id, row.reply, judges) == ("discord:1", "Arr, a stack.", ["discord:1", "discord:2"])
    assert look_into_dm(ledger) == (["5/6"], "zen")


@pytest.mark.parametrize("nobody", ["", "  "])
def test_an_empty_name_is_nobodys_and_forgets_nobody(ledger, tmp_path, nobody):
    done = personas("data", "forget", nobody, "--yes", data_dir=tmp_path)
    assert_one_sentence(done, "USER is empty", status=2)
    row, judges = look_up(ledger)
    assert (row.user_id, row.reply, judges) == ("discord:1", "Arr, a stack.", ["discord:1", "discord:2"])


def test_forgetting_a_person_says_what_was_erased(ledger, tmp_path):
    done = personas("data", "forget", "discord:1", "--yes", data_dir=tmp_path)
    assert done.stdout == "Erased: exchanges 1, thumbs 1, picks 0, better answers 0.\n"
    row, judges = look_up(ledger)
    assert (row.user_id, row.prompt, row.reply, judges) == ("", None, None, ["discord:2"])
    assert look_into_dm(ledger) == ([], None)


def test_forgetting_names_the_versions_that_learnt_from_a_person_and_what_rebuilds_them(ledger, tmp_path):
    exchange_id, url = ledger

    async def learn() -> None:
        store = await Store.open(url, create_or_upgrade=False)
        async with store.write() as session:
            judged = await record_answered(session, user_id="discord:2")
            await corrections.add(session, exchange_id=judged, user_id="discord:1", text="Better.", source="discord")
            for slug, version, learnt in (("codebeard", 2, exchange_id), ("codebeard", 3, judged), ("zen", 2, judged)):
                made = {"content_hash": f"{version:064}", "root": "data", "path": "a", "origin": "trained"}
                session.add(AdapterVersion(persona=slug, base_model="smollm2", version=version, lineage={}, **made))
                await session.flush()
                key = {"persona": slug, "base_model": "smollm2", "version": version}
                session.add(TrainingExample(exchange_id=learnt, **key))
        await store.close()

    asyncio.run(learn())
    done = personas("data", "forget", "discord:1", "--yes", data_dir=tmp_path)
    assert "better answers 1." in done.stdout
    assert "learnt from them: codebeard@2, codebeard@3, zen@2." in done.stdout
    assert re.search(r"`\S*personas retrain codebeard`, `\S*personas retrain zen` trains new ones", done.stdout)


def test_purging_erases_what_is_older_than_the_setting_says(ledger, tmp_path):
    done = personas("data", "purge", "--trust-clock", data_dir=tmp_path, PERSONAS_KEEP_TEXT_DAYS="30")
    assert done.stdout == "Erased the text of 1 exchanges older than 30 days.\n"
    row, judges = look_up(ledger)
    assert (row.user_id, row.prompt, judges) == ("discord:1", None, ["discord:1", "discord:2"])
