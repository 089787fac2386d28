"""A stock bolt app for tests of the fake Slack, and forms that it shows."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.fake_slack.server import FakeSlack

FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "thumbs",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "up"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "down"},
        },
        {
            "type": "icon_button",
            "icon": "trash",
            "action_id": "remove",
            "text": {"type": "plain_text", "text": "Remove"},
        },
    ],
}
MODAL = {
    "type": "modal",
    "callback_id": "better",
    "title": {"type": "plain_text", "text": "A better answer"},
    "submit": {"type": "plain_text", "text": "Keep"},
    "blocks": [
        {
            "type": "input",
            "block_id": "words",
            "label": {"type": "plain_text", "text": "Answer"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True, "initial_value": "old"},
        }
    ],
}


class SmallApp:
    """A stock bolt app that writes down what it hears."""

    def __init__(self, fake: FakeSlack) -> None:
        self.client = AsyncWebClient(fake.bot_token, base_url=fake.url)
        self.app = AsyncApp(client=self.client)
        self.handler = AsyncSocketModeHandler(self.app, fake.app_token, web_client=self.client)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.retries: list[list[str] | None] = []
        self.world = fake.world
        for name in (
            "app_mention",
            "message",
            "reaction_added",
            "reaction_removed",
            "app_home_opened",
            "app_uninstalled",
            "member_joined_channel",
        ):
            self.app.event(name)(self.on_event)
        self.app.event("tokens_revoked")(self.on_event)

    async def on_event(self, event: dict[str, Any], request: Any) -> None:
        self.heard.append((event["type"], event))
        self.retries.append(request.headers.get("x-slack-retry-num"))
        self.world.touch()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for name, event in self.heard if name == kind]


async def refusal(call: Awaitable[Any]) -> str:
    """Slack's word for why it refuses a call."""
    with pytest.raises(SlackApiError) as found:
        await call
    return str(found.value.response["error"])
