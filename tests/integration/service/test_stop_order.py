"""`personas serve` ends its front ends first and closes the store last, however fast it is told to stop."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from bot.commands import chat_side
from bot.commands.discord_side import DiscordSide
from bot.commands.listening import listen
from bot.commands.running import INTERRUPTED
from bot.commands.serve import HttpServer, Server
from bot.service import service
from core.engine.echo_engine import EchoEngine
from core.store.db import Store
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.serving import echo_settings, until


@pytest.fixture
def ended(monkeypatch):
    """The names of what has ended, in that order."""
    order = []

    def note(kind, method, name):
        end = getattr(kind, method)

        async def noting(self, *arguments, **options):
            try:
                return await end(self, *arguments, **options)
            finally:
                order.append(name)

        monkeypatch.setattr(kind, method, noting)

    note(DiscordSide, "run", "Discord")
    note(HttpServer, "serve", "web")
    note(Store, "close", "store")
    return order


@pytest.mark.parametrize("is_hurried", [False, True])
async def test_discord_and_the_web_side_end_before_the_store_is_closed(
    tmp_path, monkeypatch, signals, ended, is_hurried
):
    engine = EchoEngine()
    engine.gate.close()
    monkeypatch.setattr(service, "_local_engine", lambda *_: engine)
    monkeypatch.setattr(chat_side, "LAST_WORDS_S", 0.0)
    async with FakeDiscord() as fake:
        channel, ann = fake.add_guild("harbour").add_channel("general"), fake.add_person("ann")
        options = {"discord_token": fake.token, "discord_api_url": fake.url, "drain_timeout_s": 3600}
        with listen("127.0.0.1", 0) as listener:
            server = Server(echo_settings(tmp_path, **options), listener, Console(file=io.StringIO()))
            running = asyncio.create_task(server.run())
            await until(lambda: server._sides and server._sides[0].greeting)
            await ann.says(channel, "one two three", mentions_bot=True)
            await engine.gate.wait_until_held()
            server._on_signal()
            if is_hurried:
                server._on_signal()
            else:
                engine.gate.open()
            assert await running == (INTERRUPTED if is_hurried else 0)
    assert ended[-1] == "store"
    assert sorted(ended) == ["Discord", "store", "web"]
