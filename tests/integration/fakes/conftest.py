"""A fake Discord, and stock discord.py bots on it. After each test, everything sent has kept to Discord's contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import discord
import pytest

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.integration.fakes.small_bot import SmallBot

Start = Callable[..., Awaitable[SmallBot]]


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    fake = FakeDiscord(bot_name="small")
    await fake.start()  # not `async with`, after which nobody may have been pinged
    monkeypatch.setattr(discord.http.Route, "BASE", fake.url)
    monkeypatch.setattr(
        discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    )
    yield fake
    await fake.stop()
    fake.check_contract()


@pytest.fixture
def guild(fake: FakeDiscord) -> Guild:
    return fake.add_guild("harbour")


@pytest.fixture
def channel(guild: Guild) -> Channel:
    return guild.add_channel("general")


@pytest.fixture
def ann(fake: FakeDiscord) -> Person:
    return fake.add_person("ann")


@pytest.fixture
async def start(fake: FakeDiscord) -> AsyncIterator[Start]:
    running: list[tuple[SmallBot, asyncio.Task[None]]] = []

    async def starting(intents: discord.Intents | None = None) -> SmallBot:
        bot = SmallBot(intents)
        running.append((bot, asyncio.create_task(bot.start(fake.token))))
        await bot.hear("ready")
        return bot

    yield starting
    for bot, task in running:
        await bot.close()
        await task


@pytest.fixture
async def bot(start: Start, channel: Channel) -> SmallBot:
    """Started when the guild and its channel are there."""
    return await start()
