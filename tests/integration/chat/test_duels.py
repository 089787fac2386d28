"""Blind duels on Discord, on Slack, on the page and in the terminal: the same rows, votes and sentences."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from bot.chat import duels
from bot.chat.access import AccessLimits
from bot.service.service import Service
from bot.terminal.duel import TerminalDuel, duels_of
from core.store.duels import Contest, votes_on
from tests.discord.commands import registered, use
from tests.discord.rooms import discord_room
from tests.examples.store import write_adapter
from tests.parity.rows import Names, differences, rows_of
from tests.running.playground_page import open_page
from tests.running.serving import echo_server
from tests.slack.rooms import SlackRoom, slack_room

REVEALED = "Noted, thank you: A was codebeard@1, B was codebeard@2. "
ONE_VOTE = (
    REVEALED + "@2 wins 100 % of 1 vote by 1 person; about 10 more votes, by 10 more people, until it is settled."
)
A_TIE = REVEALED + "@2 wins 50 % of 1 vote by 1 person; no end is in sight: so far they are about as good."


@pytest.fixture(autouse=True)
def in_order(monkeypatch):
    """No lots are drawn: the first version that is named is shown first."""
    monkeypatch.setattr(duels, "random", SimpleNamespace(shuffle=lambda _versions: None))


async def train(service: Service, version: int = 2) -> None:
    """A further version of codebeard, which the echo engine serves as any other."""
    folder = write_adapter(service.settings.data_dir / "adapters" / "codebeard" / str(version), bytes([version]))
    base_slug = service.settings.base_slug
    await service.registry.register(
        service.store, persona="codebeard", base_slug=base_slug, folder=folder, lineage={"seed": version}
    )


async def scores(service: Service) -> list[int]:
    contest = Contest("codebeard", service.settings.base_slug, 1, 2)
    async with service.store.read() as session:
        return sorted(vote.score for vote in await votes_on(session, contest))


async def on_discord(folder: Path) -> dict:
    async with discord_room(folder) as room:
        await registered(room)
        await train(room.service)
        bob, known = room.fake.add_person("bob"), len(room.channel.from_bot)
        options = {"persona": "codebeard", "version": 1, "against": 2, "question": "good morning"}
        await room.ann.uses("duel", in_=room.channel, **options)
        await room.channel.wait_for(lambda _: len(room.channel.from_bot) == known + 3)
        first, second, card = room.channel.from_bot[known:]
        assert (first.content, second.content) == (
            "**A**\n[codebeard@1] good morning",
            "**B**\n[codebeard@2] good morning",
        )
        assert "“good morning”" in card.content
        for who, button, said in ((room.ann, "B is better", ONE_VOTE), (room.ann, "As good", A_TIE)):
            told = await (await who.presses(card, button)).wait_reply()
            assert (told.content, told.only_for) == (said, who)
        told = await (await bob.presses(card, "A is better")).wait_reply()
        assert await scores(room.service) == [-1, 0]
        await (await bob.presses(told, "Take it back")).wait_acknowledged()
        await room.until(lambda: _only_the_tie(room.service))
        return await rows_of(room.service.store, Names())


async def on_slack(folder: Path) -> dict:
    async with slack_room(folder) as room:
        await train(room.service)
        bob, card = room.fake.add_person("bob"), await duel_on_slack(room)
        for who, button, said in ((room.ann, "B is better", ONE_VOTE), (room.ann, "As good", A_TIE)):
            told = await (await who.presses(card, f"{button}")).wait_reply()
            assert (told.content, told.only_for) == (said, who)
        told = await (await bob.presses(card, "A is better")).wait_reply()
        assert await scores(room.service) == [-1, 0]
        await (await bob.presses(told, "Take it back")).wait_acknowledged()
        await room.until(lambda: _only_the_tie(room.service))
        return await rows_of(room.service.store, Names())


async def duel_on_slack(room: SlackRoom):
    """The message that asks for votes."""
    known = len(room.channel.from_bot)
    await room.ann.uses("duel", "codebeard 1 2 good morning", in_=room.channel)
    await room.channel.wait_for(lambda _: len(room.channel.from_bot) == known + 3)
    first, second, card = room.channel.from_bot[known:]
    assert "[codebeard@1] good morning" in first.content
    assert "[codebeard@2] good morning" in second.content
    return card


async def _only_the_tie(service: Service) -> bool:
    return await scores(service) == [0]


async def test_a_duel_leaves_the_same_rows_on_discord_and_on_slack(tmp_path):
    discord, slack = await on_discord(tmp_path / "discord"), await on_slack(tmp_path / "slack")
    assert not differences(discord, slack, between=("Discord", "Slack"))
    assert discord["duels"] == [{"first_id": "exchange 1", "second_id": "exchange 2"}]
    assert [(row["rejected_id"], row["is_tie"]) for row in discord["preferences"]] == [("exchange 2", True)]
    assert [row["adapters"][0]["name"] for row in discord["exchanges"]] == ["codebeard@1", "codebeard@2"]
    assert [row["prompt"] for row in discord["exchanges"]] == [None, None]  # nobody has agreed
    assert [row["exchange_id"] for row in discord["deliveries"]] == ["exchange 1", "exchange 2"]


async def test_the_page_and_the_terminal_leave_the_same_votes_too(tmp_path):
    found = []
    async with echo_server(tmp_path / "page") as server, server.http() as http:
        await train(server.service)
        assert (await http.get("/")).status_code == 200
        page = await open_page(http)
        toasts, _, _ = await page.call("_duel", "codebeard", 1, 1, "good morning")
        assert "cannot duel itself" in toasts[0]
        _, output, said = await page.call("_duel", "codebeard", 1, 2, "good morning")
        assert output is not None, said
        assert "codebeard@1" in said
        for event, sentence in (("_vote_second", "100 "), ("_vote_tie", "no end is in sight")):
            _, output, said = await page.call(event, None)
            assert output is not None, said
            assert sentence in output[0]
        found.append(await rows_of(server.service.store, Names()))
    async with echo_server(tmp_path / "terminal") as server:
        await train(server.service)
        out, errors = io.StringIO(), io.StringIO()
        made = duels_of(server.service)
        contest = await made.contest("codebeard", 1, 2, is_public=False)
        consoles = Console(file=out, width=200), Console(file=errors)
        conversation = TerminalDuel(made, contest, *consoles, user="ann")
        for line in ("a", "good morning", "b", "=", "/standing"):
            assert await conversation.handle(line)
        assert "ask something first" in errors.getvalue()
        assert conversation.failures == 1
        assert ONE_VOTE in out.getvalue()
        assert A_TIE in out.getvalue()
        found.append(await rows_of(server.service.store, Names()))
    assert not differences(*found, between=("the page", "the terminal"))
    assert [row["is_tie"] for row in found[0]["preferences"]] == [True]


async def test_both_answers_are_written_in_one_batch(tmp_path):
    async with slack_room(tmp_path) as room:
        await train(room.service)
        room.gate.close()
        duel = asyncio.create_task(duel_on_slack(room))

        async def both_run() -> bool:
            return room.engine.stats().running == 2

        await room.until(both_run)
        assert not duel.done()
        room.gate.open()
        await duel


async def test_in_a_thread_a_duel_is_typed_and_costs_two_turns(tmp_path):
    limits = AccessLimits(per_user_per_minute=4, per_channel_per_minute=None)
    async with slack_room(tmp_path, limits=limits) as room:
        await train(room.service)
        question = await room.asks("hello")
        await room.answer(question)
        known = len(room.channel.from_bot)
        await room.ann.says(question, "!duel codebeard 1 2 good morning")
        await room.channel.wait_for(lambda _: len(room.channel.from_bot) == known + 3)
        assert {one.thread_ts for one in room.channel.from_bot[known:]} == {question.ts}
        await room.answer(await room.ann.says(question, "one more"))
        refused = await room.types("and another", question)
        assert "faster than I can answer" in refused.content


async def test_what_cannot_duel_is_said_in_one_sentence_and_leaves_nothing(tmp_path):
    async with slack_room(tmp_path) as room:
        await train(room.service)
        async with room.service.store.write() as session:
            await room.service.registry.record_gate(
                session, "codebeard", room.service.settings.base_slug, 2, passed=False, by="ann"
            )
        for words, sentence in {
            "codebeard": "two of its versions and a question",
            "base 1 2 who?": duels.ALONE,
            "codebeard:0.7+zen:0.3 1 2 who?": duels.ALONE,
            "codebeard 1 1 who?": "cannot duel itself",
            "codebeard 1 7 who?": "no version 7",
            "codebeard 1 2 who?": "codebeard@2 failed its gate",
        }.items():
            assert sentence in (await room.uses("duel", words)).content
        assert await room.exchanges() == []


async def test_a_duel_whose_one_answer_fails_is_none_and_a_placeholder_ends(tmp_path):
    async with discord_room(tmp_path) as room:
        await registered(room)
        await train(room.service)
        room.gate.close()
        options = {"persona": "codebeard", "version": 1, "against": 2, "question": "good morning"}
        interaction = await room.ann.uses("duel", in_=room.channel, **options)
        await room.gate.wait_until_held()
        [one, *_] = await room.exchanges()
        await room.service.queue.cancel(one.id)  # which stops the other one, too
        assert (await interaction.wait_reply()).content == duels.STOPPED
        room.gate.open()

        async def nothing_is_left() -> bool:
            rows = await rows_of(room.service.store, Names())
            return (rows["duels"], rows["deliveries"]) == ([], [])

        await room.until(nothing_is_left)
        assert (await use(room, "persona")).content  # and the bot goes on
