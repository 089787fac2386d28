"""Votes on duels: one a person, the latest counts, ties train nothing, and erasure leaves others' votes."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from core.errors import InvalidInput, NotFound
from core.generation import AdapterRef, WeightedAdapter
from core.store import data_rights, duels, exchanges, trainable
from core.store.duels import Contest
from core.store.models import AdapterVersion, Preference
from tests.examples.store import new_exchange, record_answered

CONTEST = Contest("codebeard", "smollm2", 2, 3)


def by(version: int, **changes):
    answered = WeightedAdapter(AdapterRef(f"codebeard@{version}", f"{version:064}"), 1.0)
    return {"adapters": (answered,), "source": "playground", **changes}


async def duel(session, first: int = 2, second: int = 3, **changes) -> tuple[str, str]:
    shown = [await record_answered(session, **by(version, **changes)) for version in (first, second)]
    await duels.add(session, *shown)
    return shown[0], shown[1]


async def scores(session, contest: Contest = CONTEST) -> dict[str, int]:
    return {vote.person: vote.score for vote in await duels.votes_on(session, contest)}


async def vote(session, duel_id: str, who: str, choice: duels.Choice, source: str = "playground") -> None:
    await duels.vote(session, first_id=duel_id, user_id=who, choice=choice, source=source)


async def test_a_vote_counts_for_the_version_whichever_side_it_was_shown_on(store):
    async with store.write() as session:
        straight, _ = await duel(session, 2, 3)
        swapped, _ = await duel(session, 3, 2)
        await vote(session, straight, "ann", "first")
        await vote(session, straight, "bob", "tie")
        await vote(session, swapped, "cem", "first")
        assert await scores(session) == {"ann": -1, "bob": 0, "cem": 1}
        assert await scores(session, Contest("codebeard", "smollm2", 3, 2)) == {"ann": 1, "bob": 0, "cem": -1}
        assert await scores(session, Contest("codebeard", "smollm2", 2, 4)) == {}
        assert await scores(session, Contest("codebeard", "other", 2, 3)) == {}


async def test_a_person_counts_once_and_the_latest_vote_replaces_the_former_ones(store):
    async with store.write() as session:
        made, _ = await duel(session)
        for choice, score in (("first", -1), ("second", 1), ("tie", 0), ("tie", 0), ("first", -1)):
            await vote(session, made, "ann", choice)
            assert await scores(session) == {"ann": score}
            assert await session.scalar(select(func.count()).select_from(Preference)) == 1
        await vote(session, made, "bob", "tie")
        for _ in range(2):
            await duels.withdraw(session, first_id=made, user_id="ann")
        assert await scores(session) == {"bob": 0}


async def test_only_finished_replies_stand_in_a_duel_and_only_known_duels_take_votes(store):
    async with store.write() as session:
        answered = await record_answered(session, **by(2))
        running = new_exchange(**by(3))
        await exchanges.record(session, running)
        with pytest.raises(InvalidInput, match="only a finished reply can be shown in a duel"):
            await duels.add(session, answered, running.id)
        for act in (vote(session, answered, "ann", "tie"), duels.sides(session, answered)):
            with pytest.raises(NotFound, match="There is no duel"):
                await act


async def test_forgetting_a_person_takes_their_votes_and_leaves_those_of_others_on_their_duels(store):
    async with store.write() as session:
        made, _ = await duel(session, user_id="ann")
        await vote(session, made, "ann", "first")
        await vote(session, made, "bob", "second")
        forgotten = await data_rights.forget(session, "ann")
        assert (forgotten.exchanges, forgotten.preferences) == (2, 1)
        assert await scores(session) == {"bob": 1}
        assert [side.prompt for side in await duels.sides(session, made)] == [None, None]


async def test_a_vote_trains_by_the_rules_of_any_pick_and_a_tie_trains_nothing(store):
    async with store.write() as session:
        for version in (2, 3):
            made = {"root": "data", "path": "a", "origin": "trained", "lineage": {}}
            content_hash = f"{version:064}"
            session.add(
                AdapterVersion(
                    persona="codebeard", base_model="smollm2", version=version, content_hash=content_hash, **made
                )
            )
        first, second = await duel(session)
        at_discord, _ = await duel(session, source="discord")
        await vote(session, first, "ann", "second")
        await vote(session, first, "bob", "tie")
        await vote(session, at_discord, "ann", "second", "discord")
        found = await trainable.find(
            session, persona="codebeard", base_model="smollm2", sources=["playground"], given_before=2**40
        )
    assert [(one.kind, one.exchange_id, one.rejected_id, one.obstacle) for one in found if one.source != "discord"] == [
        ("pick", second, first, None)
    ]
    assert [one.obstacle for one in found if one.source == "discord"] == ["consent"]
