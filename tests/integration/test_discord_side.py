"""Discord beside the web side: it says that it is there, or in one sentence why not, and never stops the rest."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from contextlib import asynccontextmanager

import pytest
from discord.backoff import ExponentialBackoff
from rich.console import Console

from bot.commands import chat_side
from bot.commands.discord_side import NOT_INSTALLED, DiscordSide
from bot.discord_chat.rights import PERMISSIONS
from core.settings import ROOT
from tests.discord.rooms import echo_service
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.serving import until


@pytest.fixture
async def fake():
    async with FakeDiscord() as discord:
        yield discord


@asynccontextmanager
async def side(folder, fake, **settings):
    """A side that is not running yet, its service, and what it has said."""
    said = io.StringIO()
    async with echo_service(folder, fake, **settings) as service:
        yield DiscordSide(service, Console(file=said, width=80)), service, said


@asynccontextmanager
async def joined(folder, fake, **settings):
    async with side(folder, fake, **settings) as (discord, _, said):
        running = asyncio.create_task(discord.run())
        await fake.gateway.wait_connected()
        await until(lambda discord=discord: discord.greeting)
        yield discord, said
        await discord.close()
        await running


async def test_it_says_as_whom_it_is_there_and_in_how_many_servers(tmp_path, fake):
    fake.add_guild("harbour")
    fake.add_guild("castle")
    async with joined(tmp_path, fake) as (discord, said):
        assert discord.greeting == f"{fake.bot.name} in 2 servers"
        assert said.getvalue() == f"On Discord as {fake.bot.name} in 2 servers.\n"


async def test_in_no_server_it_shows_the_url_that_invites_it_with_scopes_and_permissions(tmp_path, fake):
    async with joined(tmp_path, fake) as (_, said):
        (url,) = [word.rstrip(".") for word in said.getvalue().split() if word.startswith("https://")]
    assert f"client_id={fake.application.id}" in url
    assert f"permissions={PERMISSIONS.value}" in url
    assert "scope=bot+applications.commands" in url


async def test_leaving_lets_a_running_reply_end_on_the_screen(tmp_path, fake):
    channel, ann = fake.add_guild("harbour").add_channel("general"), fake.add_person("ann")
    async with side(tmp_path, fake, drain_timeout_s=60) as (discord, service, _):
        running = asyncio.create_task(discord.run())
        await fake.gateway.wait_connected()
        service.engine.gate.close()
        await ann.says(channel, "one two three", mentions_bot=True)
        await service.engine.gate.wait_until_held()
        ending = asyncio.gather(service.drain(), discord.close())
        service.engine.gate.open()
        await ending
        await running
    assert [message.content.splitlines()[-1] for message in channel.from_bot] == ["[codebeard@1] one two three"]


async def test_a_token_that_is_refused_is_one_sentence(tmp_path, fake):
    async with side(tmp_path, fake, discord_token="not-the-token") as (discord, service, said):
        await discord.run()
        await discord.close()
        assert service.model_problem is None
    assert said.getvalue().startswith("Not on Discord: Discord does not accept PERSONAS_DISCORD_TOKEN; ")
    assert said.getvalue().count("\n") == 1
    assert "not-the-token" not in said.getvalue()


async def test_an_outage_is_told_once_however_often_it_is_tried(tmp_path, fake, caplog, monkeypatch):
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _: 0.0)
    fake.add_guild("harbour")
    fault = fake.faults.cut("GET", "/users/@me", times=4)
    with caplog.at_level(logging.INFO):
        async with joined(tmp_path, fake) as (_, said):
            assert fault.hits == 4
    assert sum("cannot be reached" in line for line in caplog.messages) == 1
    assert said.getvalue().startswith("On Discord as ")


async def test_without_a_token_nothing_is_said(tmp_path, fake):
    async with side(tmp_path, fake, discord_token=None) as (discord, _, said):
        await discord.run()
        await discord.close()
    assert said.getvalue() == ""
    assert fake.requests == []


async def test_without_the_package_the_extra_is_named(tmp_path, fake, monkeypatch):
    async with side(tmp_path, fake) as (discord, _, said):
        monkeypatch.setitem(sys.modules, "discord", None)
        await discord.run()
    assert said.getvalue() == f"{NOT_INSTALLED}\n"
    assert f"-m pip install -e '{ROOT}[discord]'" in NOT_INSTALLED


async def test_who_is_in_a_hurry_waits_for_no_reply(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(chat_side, "LAST_WORDS_S", 0.0)
    channel, ann = fake.add_guild("harbour").add_channel("general"), fake.add_person("ann")
    async with side(tmp_path, fake, drain_timeout_s=3600) as (discord, service, _):
        running = asyncio.create_task(discord.run())
        await fake.gateway.wait_connected()
        service.engine.gate.close()
        await ann.says(channel, "one two three", mentions_bot=True)
        await service.engine.gate.wait_until_held()
        leaving = asyncio.create_task(discord.close())
        discord.hurry()
        await leaving
        assert running.done()  # nothing on Discord uses the store any more
        assert not discord._chat.parts.chat.replies._busy
        service.hurry()
    [answer] = channel.from_bot
    assert "[codebeard@1] one two three" not in answer.content


async def test_who_may_ask_and_how_often_is_what_the_settings_say(tmp_path, fake):
    guild, ann, ben = fake.add_guild("harbour"), fake.add_person("ann"), fake.add_person("ben")
    channel, other = guild.add_channel("general"), guild.add_channel("other")
    limits = {
        "user_messages_per_minute": 1,
        "blocked_places": f"discord:channel:{other.id}",
        "blocked_users": f"discord:{ben.id}",
    }
    async with joined(tmp_path, fake, **limits):
        await ben.says(channel, "hello", mentions_bot=True)
        await ann.says(other, "hello", mentions_bot=True)
        await other.wait_for(lambda messages: "I may not talk here" in messages[-1].content)
        await ann.says(channel, "hello", mentions_bot=True)
        await channel.wait_for(lambda messages: messages[-1].content.endswith("[codebeard@1] hello"))
        await ann.says(channel, "hello again", mentions_bot=True)
        await channel.wait_for(lambda messages: "faster than I can answer" in messages[-1].content)
    assert len(channel.from_bot) == 2
