"""`personas serve` as a process of its own on a fake Discord that runs in the test's event loop."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

from core.settings import ROOT
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.patience import TIMEOUT_S
from tests.running.real_server import RealServer, real_server

LOOK_AGAIN_S = 0.05  # another process writes the database, and tells nobody

T = TypeVar("T")


def personas_at(folder: Path, temperature: float) -> str:
    """A copy of the shipped personas, adapters and all, that sample at this temperature; its path."""
    shutil.copytree(ROOT / "personas", folder)
    for file in folder.glob("*/persona.toml"):
        text = re.sub(r"(?ms)^\[sampling\].*?(?=^\[|\Z)", "", file.read_text(encoding="utf-8"))
        file.write_text(f"{text}\n[sampling]\ntemperature = {temperature}\n", encoding="utf-8")
    return str(folder)


@asynccontextmanager
async def serving_discord(fake: FakeDiscord, data_dir: Path, **settings: str) -> AsyncIterator[RealServer]:
    """The real server, once it hears what is said at the fake and has told its commands.

    It starts and ends in a thread, so that the fake can answer it.
    """
    given = {"discord_token": fake.token, "discord_api_url": fake.url, **settings}
    running = real_server(data_dir, **given)
    server = await asyncio.to_thread(running.__enter__)
    try:
        await fake.gateway.wait_connected()
        await fake.wait_for(lambda: fake.application.command_writes)
        yield server
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def answer_to(question: Message) -> Message:
    """The finished answer in the question's channel: it has its thumbs."""

    def finished(messages: list[Message]) -> Message | None:
        return next((one for one in messages if one.reply_to is question and has_thumbs(one)), None)

    return await question.channel.wait_for(finished)


def has_thumbs(message: Message) -> bool:
    return any("👍" in str(button) for button in message.buttons)


async def choose_persona(person: Person, channel: Channel, slug: str) -> Message:
    """/persona slug; the bot's word about it."""
    interaction = await person.uses("persona", channel, name=slug)
    return await interaction.wait_reply()


def body(message: Message) -> str:
    """What the model wrote: without the header that names the persona, and without small print."""
    lines = message.content.splitlines()
    return "\n".join(line for line in lines[1:] if not line.startswith("-# ")).strip()


def rows(data_dir: Path, query: str, *values: Any) -> list[dict[str, Any]]:
    """What the ledger holds, read from outside."""
    with closing(sqlite3.connect(data_dir / "personas.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query, values)]


def exchanges_of(data_dir: Path, question: Message) -> list[dict[str, Any]]:
    key = f"{question.channel.id}/{question.id}"
    return rows(data_dir, "SELECT * FROM exchanges WHERE question_id = ? ORDER BY created_at", key)


async def until(look: Callable[[], T]) -> T:
    """The first true value of what another process brings about."""
    async with asyncio.timeout(TIMEOUT_S):
        while not (found := look()):  # noqa: ASYNC110 - a process of its own sets no event here
            await asyncio.sleep(LOOK_AGAIN_S)
    return found
