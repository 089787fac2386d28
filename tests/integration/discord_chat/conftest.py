"""A room with the bot in it, with and without the Message Content intent."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from discord.state import AutoShardedConnectionState

from bot.chat import calls, mending
from bot.discord_chat import catch_up, parts, profiles
from bot.discord_chat.connection import CAPABILITIES
from core.engine.echo_engine import EchoEngine
from tests.discord.commands import registered
from tests.discord.rooms import DiscordRoom, discord_room, process_in
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.patience import TIMEOUT_S

Run = Callable[..., AbstractAsyncContextManager[DiscordRoom]]


@pytest.fixture(autouse=True)
def profile_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, the bot's profile changes before the reply that waits for it goes on without."""
    monkeypatch.setattr(profiles, "PROFILE_WAIT_S", TIMEOUT_S)


@pytest.fixture(autouse=True)
def edits_are_given_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a channel is edited in five seconds it is here in a fifth of one; the fake counts no edits by itself."""
    monkeypatch.setattr(parts, "CAPABILITIES", replace(CAPABILITIES, edits_window_s=0.2))


@pytest.fixture(autouse=True)
def servers_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py takes its list of servers for whole once two seconds bring no more; the fake sends all at once."""
    begin = AutoShardedConnectionState.__init__
    monkeypatch.setattr(AutoShardedConnectionState, "__init__", partialmethod(begin, guild_ready_timeout=0.3))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[DiscordRoom]:
    """Without the intent: the bot reads what mentions it, replies to it and DMs."""
    async with discord_room(tmp_path) as found:
        yield found


@pytest.fixture
async def ready(room: DiscordRoom) -> None:
    """The room's commands are registered."""
    await registered(room)


@pytest.fixture
async def wordy_room(tmp_path: Path) -> AsyncIterator[DiscordRoom]:
    """With an engine whose answers are longer than a message."""
    async with discord_room(tmp_path, engine=EchoEngine(max_context_tokens=4096), max_new_tokens=2000) as found:
        yield found


@pytest.fixture
async def open_room(tmp_path: Path) -> AsyncIterator[DiscordRoom]:
    """With the Message Content intent: the bot reads everything."""
    async with discord_room(tmp_path, message_content=True) as found:
        yield found


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(catch_up, "PAUSE_S", 0.0)
    monkeypatch.setattr(mending, "AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", ())
    caplog.set_level(logging.INFO, logger=mending.__name__)


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as fake:
        yield fake
        fake.check_contract()


@pytest.fixture
def run(fake: FakeDiscord, tmp_path: Path, no_pauses: None, caplog: pytest.LogCaptureFixture) -> Run:
    """One run of the program; the next one finds what this one left, and whatever happened between them."""
    channel = fake.add_guild("harbour").add_channel("general")
    ann = fake.add_person("ann")

    @asynccontextmanager
    async def run_once(**settings: Any) -> AsyncIterator[DiscordRoom]:
        engine = EchoEngine(max_context_tokens=4096)
        caplog.clear()  # what `caught_up` waits for is this run's
        async with process_in(tmp_path, fake, channel, ann, engine=engine, **settings) as room:
            yield room

    return run_once


@pytest.fixture
def caught_up(caplog: pytest.LogCaptureFixture) -> Callable[[DiscordRoom], Awaitable[None]]:
    """Return once the bot has caught up, since the last call or the beginning of the run."""

    async def wait(room: DiscordRoom) -> None:
        async def has_ended() -> bool:
            return "is taken in" in caplog.text

        await room.until(has_ended)
        caplog.clear()

    return wait
