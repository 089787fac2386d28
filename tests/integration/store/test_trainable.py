"""What may train, as the one view decides it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import text

from core.adapters.registry import Registry
from core.generation import AdapterRef, WeightedAdapter
from core.messages import ChatMessage, Quoted
from core.queue.jobs import JobStatus
from core.store import consent, corrections, data_rights, exchanges, feedback, preferences, trainable
from core.store.trainable import Signal
from tests.examples.store import new_exchange, settle, write_adapter

CLEAN = ("playground", "terminal", "api", "author")
EVERY = (*CLEAN, "discord", "slack")
LATER = 1e12
ANN, BOB = "discord:ann", "discord:bob"
numbers = itertools.count()


@pytest.fixture
async def zen(tmp_path, store):
    """How the ledger names zen's registered version."""
    folder = write_adapter(tmp_path / "adapters" / "zen" / "1", b"weights")
    registry = Registry(tmp_path / "personas", tmp_path / "adapters")
    made = await registry.register(store, persona="zen", base_slug="smollm2", folder=folder, lineage={})
    return (WeightedAdapter(made.ref, 1.0),)


async def answer(session, adapters, reply: str = "A stack.", finish_reason: str = "stop", **changes: Any) -> str:
    new = new_exchange(**{"model": "zen", "adapters": adapters} | changes)
    assert await exchanges.record(session, new)
    assert await settle(session, new.id, reply=reply, finish_reason=finish_reason)
    return new.id


async def on_discord(session, adapters, *quoted: str, user_id: str = ANN, **changes: Any) -> str:
    """Somebody asks on Discord, and the prompt quotes these people."""
    quotes = tuple(Quoted(f"m{next(numbers)}", who) for who in quoted)
    return await answer(session, adapters, source="discord", user_id=user_id, quotes=quotes, **changes)


async def judge(session, exchange_id: str, user_id: str = "bob", label: bool = True, source: str = "api") -> None:
    await feedback.record(session, exchange_id=exchange_id, user_id=user_id, label=label, source=source)


async def found(store, sources=CLEAN, persona: str = "zen", given_before: float = LATER) -> list[Signal]:
    async with store.read() as session:
        return await trainable.find(
            session, persona=persona, base_model="smollm2", sources=sources, given_before=given_before
        )


async def obstacles(store, sources=CLEAN, **changes: Any) -> list[str | None]:
    return [signal.obstacle for signal in await found(store, sources, **changes)]


async def test_a_thumb_comes_with_the_conversation_and_the_reply(store, zen):
    prompt = (ChatMessage("system", "Be brief."), ChatMessage("user", "What is a stack?"))
    async with store.write() as session:
        exchange_id = await answer(session, zen, prompt=prompt)
        await judge(session, exchange_id, label=True)
        await judge(session, exchange_id, label=False)  # the latest counts
    [signal] = await found(store)
    assert (signal.kind, signal.exchange_id, signal.user_id, signal.label) == ("thumb", exchange_id, "bob", False)
    assert (signal.prompt, signal.reply, signal.obstacle) == (prompt, "A stack.", None)
    assert (signal.rejected_id, signal.rejected_reply, signal.text) == (None, "", "")


async def test_a_pick_comes_with_both_replies_and_a_better_answer_with_its_text(store, zen):
    async with store.write() as session:
        first = await answer(session, zen, reply="First.")
        second = await answer(session, zen, reply="Second.", variant_of=first)
        await preferences.pick(session, user_id="bob", chosen=second, source="api")
        await corrections.add(session, exchange_id=first, user_id="bob", text="Better.", source="api")
    pick, correction = await found(store)
    assert (pick.kind, pick.exchange_id, pick.rejected_id) == ("pick", second, first)
    assert (pick.reply, pick.rejected_reply, pick.obstacle) == ("Second.", "First.", None)
    assert (correction.kind, correction.exchange_id, correction.text) == ("correction", first, "Better.")
    assert (correction.reply, correction.rejected_reply, correction.obstacle) == ("First.", "", None)


async def test_a_source_that_is_not_named_is_held_back_and_so_is_everything_where_none_is(store, zen):
    async with store.write() as session:
        for source in CLEAN:
            await judge(session, await answer(session, zen, source=source), source=source)
    assert await obstacles(store) == [None] * 4
    assert sorted(map(str, await obstacles(store, ["api"]))) == ["None", "source", "source", "source"]
    assert await obstacles(store, []) == ["source"] * 4


async def test_what_was_judged_elsewhere_needs_that_source_too(store, zen):
    async with store.write() as session:
        await consent.give(session, "discord:bob", source="discord")
        await judge(session, await answer(session, zen), user_id="discord:bob", source="discord")
    assert await obstacles(store) == ["source"]
    assert await obstacles(store, EVERY) == [None]


@pytest.mark.parametrize("source", ["discord", "slack", "somewhere-new", "discord:reaction"])
async def test_text_from_elsewhere_needs_the_setting_and_the_consent_of_everybody_it_quotes_and_of_the_judge(
    store, zen, source
):
    async with store.write() as session:
        quotes = (Quoted("m1", ANN), Quoted("m2", BOB), Quoted("m3", ""))
        exchange_id = await answer(session, zen, source=source, user_id=ANN, quotes=quotes)
        await judge(session, exchange_id, user_id="discord:cem", source=source)
    sources = (*EVERY, source)
    for person in (ANN, BOB, "discord:cem"):
        assert await obstacles(store, sources) == ["consent"]
        async with store.write() as session:
            await consent.give(session, person, source="discord")
    assert await obstacles(store, CLEAN) == ["source"]
    assert await obstacles(store, sources) == [None]


async def test_a_text_that_does_not_say_whom_it_quotes_is_held_back(store, zen):
    async with store.write() as session:
        await consent.give(session, ANN, source="discord")
        await judge(session, await on_discord(session, zen), user_id=ANN, source="discord")
    assert await obstacles(store, EVERY) == ["consent"]


async def test_a_yes_to_other_words_is_no_yes(store, zen):
    async with store.write() as session:
        await consent.give(session, ANN, source="discord")
        await judge(session, await on_discord(session, zen, ANN), user_id=ANN, source="discord")
        await session.execute(text("UPDATE consents SET version = version + 1"))
    assert await obstacles(store, EVERY) == ["consent"]


async def test_a_withdrawn_consent_takes_the_text_and_the_judgements_out(store, zen):
    async with store.write() as session:
        for person in (ANN, BOB):
            await consent.give(session, person, source="discord")
        anns = await on_discord(session, zen, ANN)
        bobs = await on_discord(session, zen, BOB, user_id=BOB)
        for exchange_id in (anns, bobs):
            await judge(session, exchange_id, user_id=BOB, source="discord")
        await judge(session, bobs, user_id=ANN, source="discord")
    assert await obstacles(store, EVERY) == [None] * 3
    async with store.write() as session:
        await consent.withdraw(session, ANN)
    held = {(s.exchange_id, s.user_id): s.obstacle for s in await found(store, EVERY)}
    assert held == {(anns, BOB): "text_not_kept", (bobs, BOB): None, (bobs, ANN): "consent"}


async def test_forgetting_somebody_takes_their_words_and_their_judgements_out(store, zen):
    async with store.write() as session:
        anns = await answer(session, zen, user_id="api:ann", conversation_id="api:1")
        bobs = await answer(session, zen, user_id="api:bob", conversation_id="api:2")
        for exchange_id in (anns, bobs):
            for judge_id in ("api:ann", "api:bob"):
                await judge(session, exchange_id, user_id=judge_id)
        await corrections.add(session, exchange_id=bobs, user_id="api:ann", text="Better.", source="api")
        await data_rights.forget(session, "api:ann")
    held = {(s.kind, s.exchange_id, s.user_id): s.obstacle for s in await found(store)}
    assert held == {("thumb", anns, "api:bob"): "text_not_kept", ("thumb", bobs, "api:bob"): None}


async def test_only_replies_of_this_persona_alone_count_and_only_what_touches_it_is_found(store, zen):
    async with store.write() as session:
        for model in ("zen:0.5", "codebeard:0.7+zen:0.3", "zenith", "codebeard", "base", "big-zen"):
            await judge(session, await answer(session, zen, model=model))
    assert await obstacles(store) == ["not_alone"] * 2
    assert await obstacles(store, persona="z_n") == []


async def test_a_pick_between_two_personas_is_nobodys_alone(store, zen):
    async with store.write() as session:
        first = await answer(session, zen)
        second = await answer(session, zen, model="codebeard", variant_of=first)
        await preferences.pick(session, user_id="bob", chosen=second, source="api")
    assert await obstacles(store) == ["not_alone"]
    assert await obstacles(store, persona="codebeard") == ["not_alone"]


async def test_replies_of_other_weights_or_cut_short_are_held_back_but_better_answers_to_them_are_not(store, zen):
    unknown = (WeightedAdapter(AdapterRef("zen@9", "cd" * 32), 1.0),)
    async with store.write() as session:
        made = {
            "base_model": await answer(session, zen, base_model="other"),
            "version_unknown": await answer(session, unknown),
            "cut_short": await answer(session, zen, finish_reason="length"),
        }
        without = await answer(session, ())
        for exchange_id in (*made.values(), without):
            await judge(session, exchange_id)
            await corrections.add(session, exchange_id=exchange_id, user_id="bob", text="Better.", source="api")
    signals = await found(store)
    thumbs = {signal.exchange_id: signal.obstacle for signal in signals if signal.kind == "thumb"}
    expected = {exchange_id: obstacle for obstacle, exchange_id in made.items()} | {without: "version_unknown"}
    assert thumbs == expected
    assert [signal.obstacle for signal in signals if signal.kind == "correction"] == [None] * 4


async def test_a_judgement_waits_for_its_cool_down(store, zen):
    async with store.write() as session:
        await judge(session, await answer(session, zen))
    [signal] = await found(store)
    assert await obstacles(store, given_before=signal.given_at + 0.001) == [None]
    assert await obstacles(store, given_before=signal.given_at) == ["cool_down"]


async def test_no_text_is_read_of_what_is_held_back(store, zen):
    async with store.write() as session:
        first = await answer(session, zen)
        await judge(session, first)
        await preferences.pick(
            session, user_id="bob", chosen=await answer(session, zen, variant_of=first), source="api"
        )
        await corrections.add(session, exchange_id=first, user_id="bob", text="Better.", source="api")
    signals = await found(store, [])
    assert len(signals) == 3
    assert {(s.prompt, s.reply, s.rejected_reply, s.text) for s in signals} == {((), "", "", "")}


async def test_what_failed_is_no_reply(store, zen):
    new = new_exchange(model="zen", adapters=zen)
    async with store.write() as session:
        assert await exchanges.record(session, new)
        assert await settle(session, new.id)
        await judge(session, new.id)
        await session.execute(text("UPDATE exchanges SET status = :failed"), {"failed": str(JobStatus.FAILED)})
    assert await obstacles(store) == []
