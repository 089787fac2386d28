"""The same conversation on Discord and on Slack leaves the same rows in the store, but for ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.chat import responder
from bot.service.service import Service
from core.settings import Settings
from tests.discord.commands import registered
from tests.discord.rooms import DiscordRoom, discord_room
from tests.discord.rooms import connected as connected_to_discord
from tests.fakes.fake_discord.server import FakeDiscord
from tests.fakes.fake_slack.server import FakeSlack
from tests.models.tiny_models import make_tiny_model
from tests.models.tiny_personas import tiny_settings
from tests.parity.discord_talk import DiscordTalk
from tests.parity.rows import differences
from tests.parity.script import converse
from tests.parity.slack_talk import SlackTalk
from tests.slack.rooms import SlackRoom, connected, slack_room


async def test_one_conversation_leaves_the_same_rows_on_both_platforms(tmp_path: Path):
    async with discord_room(tmp_path / "discord", message_content=True) as discord:
        on_discord = await converse(DiscordTalk(await registered(discord)))
    async with slack_room(tmp_path / "slack") as slack:
        on_slack = await converse(SlackTalk(slack))
    assert list(on_discord) == list(on_slack)
    sides = ("Discord", "Slack")
    found = [
        f"after {part}: {one}"
        for part, rows in on_discord.items()
        for one in differences(rows, on_slack[part], between=sides)
    ]
    assert not found, "\n".join(found)


async def test_with_a_real_model_one_conversation_leaves_the_same_rows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = make_tiny_model("llama", tmp_path / "tiny", max_position_embeddings=2048)
    options = {"max_new_tokens": 6, "adapter_slots": 2}
    slugs = ("codebeard", "zen")
    async with FakeDiscord(message_content=True) as fake:
        seeds_from_1(monkeypatch)
        tokens = {"discord_token": fake.token, "discord_api_url": fake.url}
        settings = tiny_settings(tmp_path / "discord", model, *slugs, **options, **tokens)
        async with service_of(settings) as service, connected_to_discord(fake, service) as chat:
            channel = fake.add_guild("harbour").add_channel("general")
            here = DiscordRoom(fake, service, chat, channel, fake.add_person("ann"))
            on_discord = await converse(DiscordTalk(await registered(here)))
    async with FakeSlack() as fake:
        seeds_from_1(monkeypatch)
        tokens = {"slack_bot_token": fake.bot_token, "slack_app_token": fake.app_token, "slack_api_url": fake.url}
        settings = tiny_settings(tmp_path / "slack", model, *slugs, **options, **tokens)
        async with service_of(settings) as service, connected(fake, service) as chat:
            there = SlackRoom(fake, service, chat, fake.add_channel("general"), fake.add_person("ann"))
            on_slack = await converse(SlackTalk(there))
    sides = ("Discord", "Slack")
    found = [
        f"after {part}: {one}"
        for part, rows in on_discord.items()
        for one in differences(rows, on_slack[part], between=sides)
    ]
    assert not found, "\n".join(found)
    assert [row["reply"] for row in on_slack["picked"]["exchanges"] if row["reply"]]


def seeds_from_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seeds in the same order, so that warm replies are the same on both platforms."""
    seeds = count(1)
    monkeypatch.setattr(responder, "random", SimpleNamespace(getrandbits=lambda _bits: next(seeds)))


@asynccontextmanager
async def service_of(settings: Settings) -> AsyncIterator[Service]:
    """With the engine that the settings name."""
    service = await Service.open(settings)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
