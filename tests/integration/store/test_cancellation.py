"""Whoever is cancelled half-way through the store leaves nothing behind: no lock, and no half of a transaction."""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import false, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import NotFound
from core.queue.jobs import JobStatus
from core.store import (
    adapter_versions,
    consent,
    corrections,
    data_rights,
    duels,
    erasure,
    exchanges,
    feedback,
    places,
    preferences,
    rollouts,
)
from core.store.db import Store, take_turns
from core.store.exchanges import NewExchange
from core.store.models import AdapterVersion, Exchange, Rollout
from tests.examples.store import ZEN, champion_of, new_exchange, record_answered, settle, write_adapter
from tests.running.cut_short import is_cut_at

MODULES = (
    *(adapter_versions, consent, corrections, data_rights, duels, erasure, exchanges, feedback, places, preferences),
    rollouts,
)
Call = Callable[[AsyncSession], Coroutine[Any, Any, object]]
VERSION = {
    "content_hash": "ab" * 32,
    "root": "data",
    "path": "zen/smollm2/a",
    "origin": "trained",
    "lineage": {},
}
ZEN_VERSION = dict(zip(("persona", "base_model"), ZEN, strict=True)) | {"version": 1}
BEGUN: dict[str, Any] = {
    "challenger": 2,
    "champion": 1,
    "stage": "canary",
    "settings": {},
    "reason": "It passed its gate.",
    "by": "retrain",
}
CANARY = dict(zip(("persona", "base_model"), ZEN, strict=True)) | {"challenger": 2, "canary_at": 0.0, "started_at": 0.0}


def reads(answered: str) -> dict[Callable[..., Any], Call]:
    """Every public function that only reads, as a call."""
    a, c, d, e, f, p = adapter_versions, consent, data_rights, exchanges, feedback, places
    return {
        a.get: lambda s: a.get(s, *ZEN, 1),
        a.find_by_content: lambda s: a.find_by_content(s, *ZEN, "ab" * 32),
        a.versions: lambda s: a.versions(s, *ZEN),
        a.bases_of: lambda s: a.bases_of(s, "zen"),
        a.aliases: lambda s: a.aliases(s, *ZEN),
        a.named: lambda s: a.named(s, ["zen"], "smollm2"),
        a.with_content: lambda s: a.with_content(s, "ab" * 32),
        a.events: lambda s: a.events(s, *ZEN),
        a.examples: lambda s: a.examples(s, *ZEN),
        c.has: lambda s: c.has(s, "ann"),
        c.all_have: lambda s: c.all_have(s, ["ann", "bob"]),
        c.history: lambda s: c.history(s, "ann"),
        corrections.of_exchange: lambda s: corrections.of_exchange(s, answered),
        d.longest_gap_lately: lambda s: d.longest_gap_lately(s, now=time.time(), lately_s=3600.0),
        d.export: lambda s: d.export(s, "ann"),
        duels.sides: lambda s: duels.sides(s, answered),
        duels.votes_on: lambda s: duels.votes_on(s, duels.Contest(*ZEN, 1, 2)),
        e.deliveries_of: lambda s: e.deliveries_of(s, answered),
        e.undelivered: lambda s: e.undelivered(s, "discord"),
        e.unshown: lambda s: e.unshown(s, "discord", since=0),
        e.shown_since: lambda s: e.shown_since(s, "discord", since=0, limit=5),
        e.quoted_since: lambda s: e.quoted_since(s, "discord", since=0),
        e.quotes_of: lambda s: e.quotes_of(s, answered),
        e.check_finished: lambda s: e.check_finished(s, answered, to_be="judged"),
        e.find_by_delivery: lambda s: e.find_by_delivery(s, "api", "c/1"),
        e.find_by_deliveries: lambda s: e.find_by_deliveries(s, "api", ["c/1", "c/9"]),
        e.has_any: lambda s: e.has_any(s, "discord", "c"),
        e.find_delivery: lambda s: e.find_delivery(s, "discord", "m1"),
        e.find: lambda s: e.find(s, answered),
        e.find_by_question: lambda s: e.find_by_question(s, "api", "c/0"),
        e.variants: lambda s: e.variants(s, answered),
        e.unfinished: lambda s: e.unfinished(s),
        f.has_void_thumbs: lambda s: f.has_void_thumbs(s, [answered]),
        f.judged_from: lambda s: f.judged_from(s, "api", [answered]),
        f.of_exchanges: lambda s: f.of_exchanges(s, answered),
        f.tally: lambda s: f.tally(s),
        f.thumbs_by_version: lambda s: f.thumbs_by_version(s, *ZEN),
        p.model_of: lambda s: p.model_of(s, "c"),
        p.settings_of: lambda s: p.settings_of(s, "c"),
        p.settings_of_each: lambda s: p.settings_of_each(s, ("c", "g"), ("t",)),
        p.choices_of: lambda s: p.choices_of(s, "c"),
        p.free_talk_of: lambda s: p.free_talk_of(s, "c"),
        p.with_identity: lambda s: p.with_identity(s, "profile"),
        p.with_something_kept: lambda s: p.with_something_kept(s, "discord:"),
        p.with_something_kept_inside: lambda s: p.with_something_kept_inside(s, "t:", around="g:"),
        preferences.of_user: lambda s: preferences.of_user(s, "ann"),
        rollouts.find: lambda s: rollouts.find(s, *ZEN),
        rollouts.running: lambda s: rollouts.running(s, ["zen"], "smollm2"),
        rollouts.last_answered: lambda s: rollouts.last_answered(s, "c", "zen"),
        rollouts.votes: lambda s: rollouts.votes(s, Rollout(**CANARY)),
        rollouts.failures: lambda s: rollouts.failures(s, Rollout(**CANARY)),
        rollouts.shadow_replies: lambda s: rollouts.shadow_replies(s, Rollout(**CANARY)),
    }


def writes(answered: str, queued: NewExchange) -> dict[Callable[..., Any], Call]:
    """Every public function that writes, as a call."""
    a, c, d, e, f, p = adapter_versions, consent, data_rights, exchanges, feedback, places
    judged = {"exchange_id": answered, "user_id": "bob"}

    async def fight_again(session: AsyncSession) -> None:
        await duels.add(session, await record_answered(session), await record_answered(session))

    async def pause(session: AsyncSession) -> None:
        running = await rollouts.find(session, *ZEN)
        assert running is not None
        await rollouts.change(session, running, by="ann", reason="Wait.", is_paused=True)

    return {
        a.point: lambda s: a.point(s, *ZEN, "champion", 1),
        a.drop: lambda s: a.drop(s, *ZEN, "challenger", 1),
        a.add: lambda s: a.add(s, *ZEN, **VERSION | {"content_hash": uuid.uuid4().hex * 2}),
        a.note_examples: lambda s: a.note_examples(s, AdapterVersion(**ZEN_VERSION), [answered]),
        c.give: lambda s: c.give(s, "ann", source="api"),
        c.withdraw: lambda s: c.withdraw(s, "bob"),
        corrections.add: lambda s: corrections.add(s, **judged, text="Arr.", source="api"),
        duels.add: fight_again,
        duels.vote: lambda s: duels.vote(s, first_id=answered, user_id="bob", choice="tie", source="api"),
        duels.withdraw: lambda s: duels.withdraw(s, first_id=answered, user_id="ann"),
        e.record: lambda s: e.record(s, new_exchange(event_id="fresh", places=("c", "g"))),
        e.mark_running: lambda s: e.mark_running(s, queued.id),
        e.requeue: lambda s: e.requeue(s, queued.id),
        e.settle: lambda s: settle(s, queued.id),
        e.add_delivery: lambda s: e.add_delivery(s, answered, "c/2", position=1),
        e.finish_deliveries: lambda s: e.finish_deliveries(s, answered),
        e.remove_delivery: lambda s: e.remove_delivery(s, "api", "c/2"),
        e.fail_unfinished: lambda s: e.fail_unfinished(s, "gone", source="api"),
        f.record: lambda s: f.record(s, **judged, label=True, source="api"),
        f.remove: lambda s: f.remove(s, **judged),
        f.void_thumbs_of: lambda s: f.void_thumbs_of(s, "bob"),
        p.set_model: lambda s: p.set_model(s, "c", source="api", model="zen"),
        p.change: lambda s: p.change(s, "c", source="api", is_free_talk=True),
        preferences.pick: lambda s: preferences.pick(s, user_id="ann", chosen=answered, source="api"),
        preferences.withdraw: lambda s: preferences.withdraw(s, user_id="ann", exchange_id=answered),
        rollouts.begin: lambda s: rollouts.begin(s, *ZEN, **BEGUN),
        rollouts.change: pause,
        rollouts.end: lambda s: rollouts.end(s, *ZEN, outcome="ended", by="ann", reason="Enough."),
        d.purge: lambda s: d.purge(s, before=time.time()),
        d.forget_question: lambda s: d.forget_question(s, "api", "c/0"),
        d.forget_delivery: lambda s: d.forget_delivery(s, "api", "c/1"),
        d.stop_keeping: lambda s: d.stop_keeping(s, "c"),
        d.forget_places: lambda s: d.forget_places(s, "api", ["c"]),
        d.forget: lambda s: d.forget(s, "ann"),
        erasure.erase_words_of: lambda s: erasure.erase_words_of(s, "ann"),
        erasure.erase_text: lambda s: erasure.erase_text(s, Exchange.id == answered),
    }


def public(module: ModuleType) -> set[Callable[..., Any]]:
    """The functions of a store module that await the database."""
    own = {name: found for name, found in vars(module).items() if getattr(found, "__module__", "") == module.__name__}
    return {found for name, found in own.items() if inspect.iscoroutinefunction(found) and not name.startswith("_")}


@pytest.fixture
async def ledger(store: Store) -> tuple[str, NewExchange]:
    """An answered exchange with all that hangs on one, and a queued one."""
    queued = new_exchange()
    async with store.write() as session:
        answered = await record_answered(session, question_id="c/0", places=("c",))
        await exchanges.add_delivery(session, answered, "c/1")
        await exchanges.record(session, queued)
        await feedback.record(session, exchange_id=answered, user_id="bob", label=False, source="api")
        await consent.give(session, "bob", source="api")
        for content_hash in ("ab" * 32, "cd" * 32):
            await adapter_versions.add(session, *ZEN, **VERSION | {"content_hash": content_hash})
        await rollouts.begin(session, *ZEN, **BEGUN)
        await duels.add(session, answered, await record_answered(session))
        await duels.vote(session, first_id=answered, user_id="ann", choice="first", source="api")
    return answered, queued


async def write_at_once(store: Store) -> None:
    """What waits for every lock that the store knows."""
    async with asyncio.timeout(5), store.write() as session:
        await take_turns(session, is_shared=False)
        await erasure.erase_text(session, false())
        await session.execute(text("UPDATE exchanges SET error = error"))


async def cut_everywhere(store: Store, door: Callable[[], Any], call: Call) -> int:
    """Cancel a transaction with this call at each await in turn. Returns how many there are."""

    async def transaction() -> None:
        async with door() as session:
            await call(session)

    step = 0
    while await is_cut_at(step, transaction()):
        await write_at_once(store)
        step += 1
    return step


def test_every_public_function_of_the_store_is_among_those_that_are_cancelled():
    known = {*reads(""), *writes("", new_exchange())}
    assert known == set().union(*map(public, MODULES))


async def test_who_is_cancelled_while_reading_leaves_no_lock_behind(store, ledger):
    answered, _ = ledger
    for function, call in reads(answered).items():
        assert await cut_everywhere(store, store.read, call) >= 4, function.__qualname__


async def test_who_is_cancelled_while_writing_leaves_no_lock_behind(store, ledger):
    for function, call in writes(*ledger).items():
        assert await cut_everywhere(store, store.write, call) >= 4, function.__qualname__


async def test_who_is_cancelled_while_the_registry_reads_and_writes_leaves_no_lock_behind(
    store, registry, personas, bundled, train
):
    write_adapter(bundled, b"shipped")
    first, second = await train(b"one"), await train(b"two")
    calls = [
        lambda: registry.sync_bundled(store, personas, "smollm2"),
        lambda: registry.sync_trained(store, personas, "smollm2"),
        lambda: train(b"three"),
        lambda: registry.promote(store, *ZEN, first.version, force=True, by="ann"),
        lambda: registry.promote(store, *ZEN, second.version, force=True, by="ann"),
        lambda: registry.rollback(store, *ZEN, by="ann"),
    ]
    for call in calls:
        step = 0
        while await is_cut_at(step, suppressed(call())):
            await write_at_once(store)
            step += 1
    assert (await champion_of(registry, store)).version == first.version


async def suppressed(work: Coroutine[Any, Any, object]) -> None:
    with suppress(NotFound):  # who was cancelled during the commit has rolled back already
        await work


async def test_a_writer_that_is_cancelled_wrote_everything_or_nothing(store):
    new = new_exchange(places=("c", "g"))

    async def write() -> None:
        async with store.write() as session:
            await exchanges.record(session, new)
            await exchanges.mark_running(session, new.id)

    step, found = 0, None
    while await is_cut_at(step, write()):
        async with store.read() as session:
            found = await exchanges.find(session, new.id)
        assert found is None or found.status == JobStatus.RUNNING
        step += 1
        if found is not None:
            break
    assert step >= 4  # begin, two statements and their flush, and only then the commit
    assert found is not None


async def test_who_is_cancelled_again_and_again_waits_for_the_commit_all_the_same(store):
    new = new_exchange()

    async def write() -> None:
        async with store.write() as session:
            await exchanges.record(session, new)

    writing = asyncio.create_task(write())
    while not writing.done():
        await asyncio.sleep(0)
        writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await write_at_once(store)


async def test_who_is_cancelled_while_waiting_for_a_turn_lets_the_next_one_go(store):
    async with store.write():
        waiting = [asyncio.create_task(write_at_once(store)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    await waiting[2]
