"""`personas serve` as a process of its own on a fake Slack that runs in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.server import FakeSlack
from tests.running.real_server import RealServer, real_server


@asynccontextmanager
async def serving_slack(fake: FakeSlack, data_dir: Path, **settings: str) -> AsyncIterator[RealServer]:
    """The real server, once it hears what is said at the fake.

    It starts and ends in a thread, so that the fake can answer it.
    """
    tokens = {"slack_bot_token": fake.bot_token, "slack_app_token": fake.app_token, "slack_api_url": fake.url}
    known = fake.socket.connections
    running = real_server(data_dir, **{**tokens, **settings})
    server: RealServer = await asyncio.to_thread(running.__enter__)
    try:
        await fake.socket.wait_connected(known + 1)
        yield server
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def answer_to(question: Message) -> Message:
    """The finished answer in the question's thread: it has its thumbs."""

    def finished(_messages: list[Message]) -> Message | None:
        own = [one for one in question.channel.thread(question) if one.author is question.channel.world.bot]
        return next((one for one in own if one.ts > question.ts and has_thumbs(one)), None)

    return await question.channel.wait_for(finished)


def has_thumbs(message: Message) -> bool:
    return any(element["type"] == "feedback_buttons" for element in message.elements)


def body(message: Message) -> Any:
    """What the model wrote: without what names the persona, and without small print."""
    lines = message.content.splitlines()
    return "\n".join(line for line in lines if not (line.startswith("_") and line.endswith("_"))).strip()
