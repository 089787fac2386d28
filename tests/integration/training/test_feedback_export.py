"""From rows in a real store to a dataset on disk."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from sqlalchemy import text

from core.adapters.registry import Registry
from core.errors import StoreUnavailable
from core.messages import ChatMessage, Quoted
from core.store import consent, corrections, data_rights, exchanges, feedback, preferences
from core.store.db import Store
from tests.examples.store import new_exchange, settle, sqlite_url, write_adapter
from tests.running.postgres import URL, empty_postgres
from training.feedback_dataset import CARD, MANIFEST, write_dataset
from training.feedback_export import export_feedback
from training.feedback_policy import FeedbackPolicy
from training.feedback_set import FeedbackSet, HeldBack

NOW = 2e9
POLICY = FeedbackPolicy(sources=frozenset({"api", "playground"}))
ALL = FeedbackPolicy(sources=frozenset({"api", "playground", "discord"}))


@pytest.fixture(params=["sqlite"] if URL is None else ["sqlite", "postgresql"])
async def store(request, tmp_path):
    url = await empty_postgres() if request.param == "postgresql" else sqlite_url(tmp_path / "personas.db")
    store = await Store.open(url, create_or_upgrade=True)
    yield store
    await store.close()


@pytest.fixture
async def taught(tmp_path, store) -> dict[str, str]:
    """Everything that people can teach zen, by what it is; the exchanges' ids."""
    folder = write_adapter(tmp_path / "adapters" / "zen" / "1", b"weights")
    registry = Registry(tmp_path / "personas", tmp_path / "adapters")
    zen = (await registry.register(store, persona="zen", base_slug="smollm2", folder=folder, lineage={})).ref

    async def answer(session, question: str, reply: str, **changes: Any) -> str:
        prompt = (ChatMessage("user", question),)
        new = new_exchange(
            **{"model": "zen", "prompt": prompt, "conversation_id": question, "user_id": f"{changes.get('source')}:ann"}
            | changes
        )
        assert await exchanges.record(session, new)
        assert await settle(session, new.id, reply=reply)
        adapters = json.dumps([{"name": zen.name, "content_hash": zen.content_hash, "weight": 1.0}])
        await session.execute(
            text("UPDATE exchanges SET adapters = :adapters WHERE id = :id"), {"adapters": adapters, "id": new.id}
        )
        return new.id

    async with store.write() as session:
        made = {
            "liked": await answer(session, "What is a stack?", "A pile of plates."),
            "again": await answer(session, "what is a stack", "A pile of plates!", source="playground"),
            "first": await answer(session, "And a queue?", "Somebody waits."),
            "discord": await answer(
                session, "Who sails?", "The wind.", source="discord", quotes=(Quoted("m", "discord:ann"),)
            ),
        }
        made["second"] = await answer(session, "And a queue?", "People in a row.", variant_of=made["first"])
        await consent.give(session, "discord:ann", source="discord")
        for name, source, judge in (
            ("liked", "api", "bob"),
            ("again", "playground", "cem"),
            ("discord", "discord", "ann"),
        ):
            who = f"{source}:{judge}"
            await feedback.record(session, exchange_id=made[name], user_id=who, label=True, source=source)
        await preferences.pick(session, user_id="api:bob", chosen=made["second"], source="api")
        await corrections.add(
            session, exchange_id=made["first"], user_id="api:bob", text="First come, first served.", source="api"
        )
    return made


async def exported(store: Store, policy: FeedbackPolicy = POLICY, now: float = NOW) -> FeedbackSet:
    return await export_feedback(store, "zen", "smollm2", policy, now=now)


async def test_the_set_holds_rows_of_each_kind_and_says_what_it_holds_back(store, taught):
    found = await exported(store)
    [judged], [preferred], [corrected] = found.judged, found.preferred, found.corrected
    assert (judged.exchange_id, judged.label, judged.weight) == (taught["liked"], True, 1.0)
    assert judged.messages == ({"role": "user", "content": "What is a stack?"},)
    assert (preferred.chosen, preferred.rejected) == ("People in a row.", "Somebody waits.")
    assert (corrected.reply, corrected.messages[-1]["content"]) == ("First come, first served.", "And a queue?")
    assert found.held_back == (HeldBack("source", 1, "PERSONAS_TRAINING_SOURCES"),)
    assert set(found.exchange_ids) == {taught[name] for name in ("liked", "again", "first", "second")}
    manifest = found.manifest
    assert manifest["judgements"] == {"found": 5, "used": 4, "held_back": 1}
    assert manifest["sources"] == {"api": 3, "playground": 1}
    assert manifest["ids"] == [hashlib.sha256(one.encode()).hexdigest() for one in found.exchange_ids]


async def test_everything_waits_for_its_cool_down_and_an_override_lets_it_in(store, taught):
    async with store.read() as session:
        given_at = await session.scalar(text("SELECT max(given_at) FROM feedback"))
    waiting = await exported(store, now=given_at + 60)
    assert (waiting.judged, waiting.exchange_ids) == ((), ())
    assert waiting.held_back == (
        HeldBack("source", 1, "PERSONAS_TRAINING_SOURCES"),
        HeldBack("cool_down", 4, "[feedback] cool_down_s"),
    )
    at_once = FeedbackPolicy(sources=POLICY.sources, cool_down_s=0)
    assert len((await exported(store, at_once, now=given_at + 60)).judged) == 1


async def test_discord_trains_with_setting_and_consent_and_goes_with_either(store, taught):
    found = await exported(store, ALL)
    assert taught["discord"] in found.exchange_ids
    assert "everybody involved agrees to version 2 of the consent" in found.manifest["permissions"]["discord"]
    assert taught["discord"] not in (await exported(store)).exchange_ids
    async with store.write() as session:
        await consent.withdraw(session, "discord:ann")
    without = await exported(store, ALL)
    assert taught["discord"] not in without.exchange_ids
    assert without.held_back == (HeldBack("text_not_kept", 1, None),)


async def test_whoever_is_forgotten_is_in_no_set(store, taught):
    async with store.write() as session:
        await data_rights.forget(session, "api:bob")
    found = await exported(store)
    assert found.exchange_ids == (taught["again"],)
    assert (found.preferred, found.corrected) == ((), ())


async def test_the_hash_is_of_what_is_learned_and_of_nothing_else(store, taught):
    before = (await exported(store)).manifest["sha256"]
    assert (await exported(store, now=NOW + 5)).manifest["sha256"] == before
    async with store.write() as session:
        await corrections.add(session, exchange_id=taught["first"], user_id="api:bob", text="Other.", source="api")
    assert (await exported(store)).manifest["sha256"] != before


async def test_the_dataset_is_read_back_with_its_card_and_names_nobody(store, taught, tmp_path):
    found = await exported(store, ALL)
    folder = write_dataset(found, tmp_path / "sets" / "zen")
    for part, rows in (("judged", found.judged), ("preferred", found.preferred), ("corrected", found.corrected)):
        read = load_dataset(str(folder), part, split="train", cache_dir=str(tmp_path / "cache")).to_list()
        assert [tuple(row["messages"]) for row in read] == [row.messages for row in rows]
        assert [row["id"] for row in read] == [hashlib.sha256(row.exchange_id.encode()).hexdigest() for row in rows]
    assert json.loads((folder / MANIFEST).read_text("utf-8")) == found.manifest
    card = (folder / CARD).read_text("utf-8")
    for part in (
        "| judged | 2 |",
        "| discord | 1 | the operator named discord",
        "## Held back\n\nNone.",
        "cool_down_s",
    ):
        assert part in card
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    for name in (b"api:bob", b"discord:ann", *(one.encode() for one in taught.values())):
        assert name not in everything
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_set_without_rows_is_a_dataset_too(store, tmp_path):
    folder = write_dataset(await exported(store), tmp_path / "zen")
    assert sorted(path.name for path in folder.iterdir()) == [CARD, MANIFEST]
    assert "Of 0 judgements" in (folder / CARD).read_text("utf-8")


async def test_writing_again_replaces_the_set_and_a_failure_leaves_the_former_one(store, taught, tmp_path, monkeypatch):
    folder = write_dataset(await exported(store, ALL), tmp_path / "sets" / "zen")
    (folder / "stale").write_text("x", encoding="utf-8")
    write_dataset(await exported(store), folder)
    assert not (folder / "stale").exists()
    former = (folder / MANIFEST).read_bytes()

    def fail(path: Path, *_args: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    found = await exported(store, ALL)
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(StoreUnavailable, match=r"zen cannot be written to .*No space left on device; free some space"):
        write_dataset(found, folder)
    assert (folder / MANIFEST).read_bytes() == former
    assert [path.name for path in folder.parent.iterdir()] == ["zen"]
