"""A room with the bot in it, with and without the Message Content intent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.engine.echo_engine import EchoEngine
from tests.discord_rooms import DiscordRoom, discord_room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[DiscordRoom]:
    """Without the intent: the bot reads what mentions it, replies to it and DMs."""
    async with discord_room(tmp_path) as found:
        yield found


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
