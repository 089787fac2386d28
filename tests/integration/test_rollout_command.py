"""`personas rollout` and `personas versions` as an operator types them."""

from __future__ import annotations

import argparse
import asyncio
import json

import pytest

from bot.commands import rollout, versions
from bot.service.storage import open_storage
from core.errors import NotFound
from tests.examples.rollout import add_gated, hear_people, let_people_meet_it, roll_out
from tests.running.serving import echo_settings


@pytest.fixture
def settings(tmp_path):
    settings = echo_settings(tmp_path)

    async def begin() -> None:
        async with open_storage(settings) as storage:
            new = await add_gated(storage.registry, storage.store, settings.adapters_dir, b"second")
            await roll_out(storage.store, new.version, over=1, shadow_replies=30)

    asyncio.run(begin())
    return settings


def said(capsys, run, settings, persona: str = "zen", **options) -> str:
    given = {"action": None, "reason": None, "is_json": False, "events": False}
    assert run(argparse.Namespace(persona=persona, **(given | options)), settings) == 0
    return " ".join(capsys.readouterr().out.split())


def test_it_shows_where_a_rollout_stands_and_holds_and_ends_it(settings, capsys):
    assert "zen@2 answers unseen, 0 of 30 replies so far." in said(capsys, rollout.run, settings)
    assert "(paused)." in said(capsys, rollout.run, settings, action="pause")
    assert "(paused)" not in said(capsys, rollout.run, settings, action="resume")
    ended = said(capsys, rollout.run, settings, action="abort", reason="it rambles")
    assert "aborted the rollout: it rambles" in ended
    assert "aborted the rollout: it rambles" in said(capsys, versions.list_versions, settings)
    assert "aborted the rollout: it rambles" in said(capsys, versions.list_versions, settings, events=True)
    with pytest.raises(NotFound, match="No rollout of zen is running"):
        said(capsys, rollout.run, settings, action="abort")


def test_in_the_canary_it_shows_the_thumbs_of_both_with_intervals(settings, capsys):
    async def go_on() -> None:
        async with open_storage(settings) as storage:
            await let_people_meet_it(storage.registry, storage.store)
            await hear_people(storage.registry, storage.store, {1: 6, 2: 2}, people=8)

    asyncio.run(go_on())
    shown = said(capsys, rollout.run, settings)
    assert "share of 👍, 95 % 75% liked (39% to 93%) by 8 people 25% liked (7% to 61%) by 8 people" in shown
    assert "new conversations 50% 50%" in shown
    thumbs = json.loads(said(capsys, rollout.run, settings, is_json=True))["thumbs"]["challenger"]
    assert (thumbs["up"], thumbs["down"], round(thumbs["low"], 2), round(thumbs["high"], 2)) == (2, 6, 0.07, 0.61)


def test_programs_read_it_as_json(settings, capsys):
    found = json.loads(said(capsys, rollout.run, settings, is_json=True))
    assert (found["stage"], found["challenger"], found["champion"]) == ("shadow", 2, 1)
    assert found["thumbs"]["votes_needed"] is None
    assert json.loads(said(capsys, rollout.run, settings, persona="codebeard", is_json=True)) is None
    assert "codebeard has had no rollout" in said(capsys, rollout.run, settings, persona="codebeard")
