"""A new version meets people step by step: a whole service with the echo engine, which says who wrote a reply."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from itertools import pairwise

import pytest
from sqlalchemy import select

from bot.chat.platform import IncomingMessage
from bot.service.service import Service
from core.adapters import rollout_moves
from core.adapters.rollout import is_dealt_to_challenger
from core.engine.echo_engine import EchoEngine
from core.errors import EngineFailed
from core.messages import ChatMessage
from core.store import adapter_versions, feedback
from core.store.models import Exchange, ShadowReply
from core.worker.rollout_watch import RolloutWatch
from tests.examples.rollout import add_gated, roll_out, standing_of_zen
from tests.examples.store import ZEN
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_settings, until

WORDS = "tell me how a stack and a queue differ in what they give back first"


class Engine(EchoEngine):
    """Notes whom it is asked for; the versions in `broken` fail."""

    def __init__(self, slots: int = 4) -> None:
        super().__init__(slots=slots)
        self.asked: list[tuple[str, str]] = []
        self.broken: frozenset[str] = frozenset()

    async def submit(self, request):
        names = [share.adapter.name for share in request.adapters]
        self.asked.append((request.request_id, *names))
        if self.broken & set(names):
            raise EngineFailed("It broke.")
        async for chunk in super().submit(request):
            yield chunk

    @property
    def unseen(self) -> list[str]:
        return [name for request_id, name in self.asked if request_id.startswith("shadow")]


@pytest.fixture
async def service(tmp_path, monkeypatch):
    """A running service, in which the test alone looks after rollouts, however slow the machine is."""

    async def leave_it_to_the_test(_watch: RolloutWatch) -> None:
        pass

    monkeypatch.setattr(RolloutWatch, "run", leave_it_to_the_test)
    service = await Service.open(echo_settings(tmp_path), engine=Engine())
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
def watch(service):
    shadow = service.worker.shadow
    return RolloutWatch(service.store, service.registry, service.personas, service.settings.base_slug, shadow)


async def add(service, weights: bytes = b"second"):
    return await add_gated(service.registry, service.store, service.settings.adapters_dir, weights)


async def ask(service, conversation: str, number: int = 0, *, model: str = "zen") -> tuple[str, str]:
    """One message of a conversation: the exchange's id and the reply's text."""
    said = (ChatMessage("user", f"{WORDS} {number}"),)
    incoming = IncomingMessage("api", f"{conversation}/{number}", conversation, f"user of {conversation}", said, model)
    reply = await service.responder.open(incoming)
    text = ""
    async for chunk in reply.chunks():
        text += chunk.text
    return reply.exchange_id, text


async def judge(service, exchange_id: str, who: str, label: bool) -> None:
    async with service.store.write() as session:
        await feedback.record(session, exchange_id=exchange_id, user_id=who, label=label, source="api")


async def shadow_rows(service, count: int) -> list[ShadowReply]:
    """What was measured of unseen replies, once so many were."""
    while True:
        async with service.store.read() as session:
            rows = list(await session.scalars(select(ShadowReply)))
        if len(rows) >= count:
            return rows
        await asyncio.sleep(0.02)


def version_in(text: str) -> int:
    found = re.findall(r"\[zen@(\d+)\]", text)
    assert len(found) == 1
    return int(found[0])


async def test_a_running_service_takes_the_steps_by_itself(tmp_path):
    service = await Service.open(echo_settings(tmp_path), engine=Engine())
    challenger = await add(service)
    await roll_out(service.store, challenger.version, over=1)
    await service.start()
    async with asyncio.timeout(TIMEOUT_S):
        while (await standing_of_zen(service.store)).stage != "canary":  # noqa: ASYNC110 - a database sets no event
            await asyncio.sleep(0.05)
    await service.stop()


async def test_a_rollout_that_is_off_costs_nothing(service, watch):
    await watch.look()
    for number in range(3):
        await ask(service, "api:1", number)
    assert [name for _, name in service.engine.asked] == ["zen@1"] * 3
    assert not service.worker.shadow.challenges


async def test_a_broken_challenger_is_caught_before_anybody_meets_it(service, watch):
    challenger = await add(service)
    service.engine.broken = frozenset({"zen@2"})
    await roll_out(service.store, challenger.version, over=1, shadow_replies=30)
    await watch.look()
    for number in range(3):
        assert version_in((await ask(service, "api:1", number))[1]) == 1
        await shadow_rows(service, number + 1)
    await watch.look()
    standing = await standing_of_zen(service.store)
    assert (standing.stage, standing.outcome) == ("done", "rolled_back")
    assert standing.reason == "3 of zen@2's 3 unseen replies ended with an error."
    await watch.look()
    assert version_in((await ask(service, "api:2"))[1]) == 1
    assert service.engine.unseen == ["zen@2"] * 3


async def test_unseen_replies_are_measured_without_their_words_and_a_sound_challenger_meets_people(service, watch):
    challenger = await add(service)
    await roll_out(service.store, challenger.version, over=1, shadow_replies=2)
    await watch.look()
    for number in range(2):
        await ask(service, "api:1", number)
        await shadow_rows(service, number + 1)
    row, _ = await shadow_rows(service, 2)
    assert (row.champion_words, row.challenger_words, row.has_failed) == (16, 16, False)
    async with service.store.read() as session:
        written = list(await session.scalars(select(Exchange)))
    assert [version_in(exchange.reply) for exchange in written] == [1, 1]  # and nothing else is in the ledger
    await watch.look()
    standing = await standing_of_zen(service.store)
    assert (standing.stage, standing.reason) == ("canary", "zen@2 was no worse in 2 replies that nobody saw.")
    await watch.look()
    await ask(service, "api:1", 9)
    assert len(service.engine.unseen) == 2


async def test_people_come_before_unseen_replies(service, watch):
    challenger = await add(service)
    await roll_out(service.store, challenger.version, over=1, shadow_replies=30)
    await watch.look()
    gate = service.engine.gate
    gate.close()
    first = asyncio.create_task(ask(service, "api:0"))
    await gate.wait_until_held(2)
    assert service.engine.unseen == ["zen@2"]
    others = [asyncio.create_task(ask(service, f"api:{number}")) for number in (1, 2, 3)]
    await until(lambda: not is_in_use(service, "zen@2") and len(service.engine.asked) == 5)
    gate.open()
    assert {version_in(text) for _, text in await asyncio.gather(first, *others)} == {1}
    async with service.store.read() as session:
        assert list(await session.scalars(select(ShadowReply))) == []


def is_in_use(service, name: str) -> bool:
    return any(status.ref.name == name and status.in_use for status in service.engine.adapters())


async def test_conversations_are_dealt_once_and_thumbs_roll_a_worse_challenger_back(service, watch):
    began_before, _ = await ask(service, "api:old")
    challenger = await add(service)
    await roll_out(service.store, challenger.version, over=1)
    await watch.look()
    versions = {}
    for number in range(24):
        exchange_id, text = await ask(service, f"api:{number}")
        versions[f"api:{number}"] = version_in(text)
        await judge(service, exchange_id, f"person {number}", versions[f"api:{number}"] == 1)
    assert version_in((await ask(service, "api:old", 1))[1]) == 1
    dealt = {place: is_dealt_to_challenger(place, challenger.ref.content_hash, 0.5) for place in versions}
    assert versions == {place: 2 if is_dealt else 1 for place, is_dealt in dealt.items()}
    again = {place: version_in((await ask(service, place, 1))[1]) for place in versions}
    assert again == versions and set(versions.values()) == {1, 2}
    await judge(service, began_before, "anybody", False)  # of a reply from before the canary
    for number in range(24, 60):
        exchange_id, text = await ask(service, f"api:{number}")
        await judge(service, exchange_id, f"person {number}", version_in(text) == 1)
    await watch.look()
    standing = await standing_of_zen(service.store)
    assert (standing.stage, standing.outcome) == ("done", "rolled_back")
    assert standing.evidence.votes == 60
    assert standing.reason.startswith("People like it less: 0 of ")
    assert version_in((await ask(service, "api:1", 2))[1]) == version_in((await ask(service, "api:new"))[1]) == 1


async def test_a_challenger_that_people_like_better_is_promoted(service, watch):
    challenger = await add(service)
    await roll_out(service.store, challenger.version, over=1)
    await watch.look()
    for number in range(60):
        exchange_id, text = await ask(service, f"api:{number}")
        await judge(service, exchange_id, f"person {number}", version_in(text) == 2)
    await watch.look()
    assert (await standing_of_zen(service.store)).outcome == "promoted"
    assert {version_in((await ask(service, f"api:{number}", 1))[1]) for number in range(4)} == {2}
    async with service.store.read() as session:
        last = (await adapter_versions.events(session, *ZEN))[-1]
    assert (last.kind, last.actor, last.is_forced) == ("promoted", "rollout", False)
    assert last.reason.startswith("People like it better: ")


async def test_a_paused_rollout_keeps_who_met_it_and_adds_nobody(service, watch):
    challenger = await add(service)
    await roll_out(service.store, challenger.version, over=1, canary_share=0.9)
    await watch.look()
    met = {number: version_in((await ask(service, f"api:{number}"))[1]) for number in range(6)}
    assert 2 in met.values()
    await rollout_moves.steer(service.store, *ZEN, "pause", by="ann")
    assert {number: version_in((await ask(service, f"api:{number}", 1))[1]) for number in met} == met
    assert {version_in((await ask(service, f"api:new{number}"))[1]) for number in range(6)} == {1}
    await rollout_moves.steer(service.store, *ZEN, "abort", by="ann")
    assert {version_in((await ask(service, f"api:{number}", 2))[1]) for number in met} == {1}


async def test_fifty_conversations_meet_one_version_each_while_versions_move(service, watch):
    """No conversation changes its version but where one was promoted or taken back between two of its replies."""
    talks: dict[str, list[tuple[str, int]]] = defaultdict(list)
    is_over = asyncio.Event()

    async def talk(conversation: str) -> None:
        number = 0
        while not is_over.is_set() or number < 4:
            exchange_id, text = await ask(service, conversation, number)
            talks[conversation].append((exchange_id, version_in(text)))
            await judge(service, exchange_id, conversation, number % 2 == 0)
            number += 1

    async def move() -> None:
        champion = 1
        for weights in (b"second", b"third", b"fourth"):
            challenger = await add(service, weights)
            await roll_out(service.store, challenger.version, over=champion)
            await watch.look()
            await asyncio.sleep(0.3)
            if weights != b"third":
                await service.registry.promote(service.store, *ZEN, challenger.version, force=False, by="ann")
                champion = challenger.version
            else:
                await service.registry.rollback(service.store, *ZEN, by="ann")
                champion = 1
        is_over.set()

    await asyncio.gather(move(), *(talk(f"api:{number}") for number in range(50)))
    async with service.store.read() as session:
        events = await adapter_versions.events(session, *ZEN)
        moved = [event.happened_at for event in events if event.kind in ("promoted", "rolled_back")]
        written = {exchange.id: exchange for exchange in await session.scalars(select(Exchange))}
        tallies = await feedback.tally(session)
    for said in talks.values():
        for exchange_id, version in said:
            assert [share["name"] for share in written[exchange_id].adapters] == [f"zen@{version}"]
        for (one, before), (other, after) in pairwise(said):
            times = (written[one].created_at, written[other].created_at)
            assert before == after or any(times[0] <= moment <= times[1] for moment in moved)
    told = [version for said in talks.values() for _, version in said]
    counted = {tally.adapters[0]["name"]: tally.up + tally.down for tally in tallies}
    assert counted == {f"zen@{version}": told.count(version) for version in set(told)}
    assert len(set(told)) >= 3
