"""A fake Slack with a channel and somebody in it, a stock bolt app on it, and rooms with the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack_chat import parts
from bot.slack_chat.connection import CAPABILITIES
from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.rooms import SlackRoom, slack_room
from tests.slack.small_app import SmallApp


@pytest.fixture(autouse=True)
def edits_are_given_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a channel is edited in three seconds it is here in a fifth of one; the fake counts no edits by itself."""
    monkeypatch.setattr(parts, "CAPABILITIES", replace(CAPABILITIES, edits_window_s=0.2))


@pytest.fixture
async def fake() -> AsyncIterator[FakeSlack]:
    fake = FakeSlack(bot_name="small")
    await fake.start()  # not `async with`, after which nobody may have been pinged
    yield fake
    await fake.stop()
    fake.check_contract()


@pytest.fixture
def channel(fake: FakeSlack) -> Channel:
    return fake.add_channel("general")


@pytest.fixture
def ann(fake: FakeSlack) -> Person:
    return fake.add_person("ann")


@pytest.fixture
async def small(fake: FakeSlack, channel: Channel) -> AsyncIterator[SmallApp]:
    small = SmallApp(fake)
    await small.handler.connect_async()
    await fake.socket.wait_connected()
    yield small
    await small.handler.close_async()


@pytest.fixture
def client(fake: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(fake.bot_token, base_url=fake.url)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[SlackRoom]:
    """The bot on a Slack of its own, with a channel and ann in it."""
    async with slack_room(tmp_path) as found:
        yield found
