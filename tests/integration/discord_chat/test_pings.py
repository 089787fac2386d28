"""Nobody is pinged: not by what a model writes as raw as it may, and not by what the bot says of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.engine.echo_engine import EchoEngine
from core.generation import GenerationRequest
from core.messages import ChatMessage, ReplyChunk
from core.store import places
from tests.discord.commands import registered
from tests.discord.rooms import LONG, DiscordRoom, discord_room
from tests.fakes.fake_discord import permissions
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.pings import mentioned


class CallingEngine(EchoEngine):
    """Whatever it is asked, it calls these on two pages."""

    calls = ""

    def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        said = ChatMessage("user", f"{self.calls} {LONG} {self.calls}")
        return super().submit(replace(request, messages=(*request.messages[:-1], said)))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[DiscordRoom]:
    """A server in which everybody may call everyone, with a model that does. Leaving it checks every request."""
    engine = CallingEngine(max_context_tokens=4096)
    async with discord_room(tmp_path, engine=engine, max_new_tokens=2000) as found:
        ben, guild = found.fake.add_person("ben"), found.channel.guild
        assert guild is not None
        role = guild.grant(ben, "manage_messages")
        guild.everyone.permissions |= permissions.bits("mention_everyone")
        engine.calls = f"@everyone @here {ben.mention} <@!{ben.id}> <@&{role.id}>"
        yield found


def assert_calls_nobody(pages: list[Message]) -> None:
    first, second = pages
    assert all("everyone" in page.content and "here" in page.content for page in pages)
    assert mentioned(first.content) == mentioned(second.content) == ([], [], False)


@pytest.mark.parametrize("shown_as", ["message", "webhook", "profile"])
async def test_an_answer_pings_nobody(room: DiscordRoom, shown_as: str):
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", identity=shown_as)
    assert_calls_nobody(await room.pages(await room.ended(await room.asks("@everyone wake up"))))


async def test_an_answer_to_a_command_pings_nobody(room: DiscordRoom):
    await registered(room)
    await (await room.ann.uses("ask", room.channel, question="@everyone wake up")).wait_reply()
    [exchange] = await room.exchanges()
    await room.chat.parts.chat.replies.ended(exchange.id)
    assert_calls_nobody(await room.pages(exchange))
