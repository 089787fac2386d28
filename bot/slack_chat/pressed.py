"""A press of a button: who, where, on which message, and how to answer that person alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import aiohttp
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.chat.reply_pages import without_calls
from bot.slack_chat import names
from bot.slack_chat.asked import Tell
from bot.slack_chat.wording import escaped

TIMEOUT_S = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pressed:
    """`verb` is what the button does, `value` what it names: an exchange, mostly.

    `thread_ts` is the thread of the message with the button.
    """

    verb: str
    value: str
    team: str
    channel: str
    user: str
    ts: str = ""
    thread_ts: str | None = None
    trigger_id: str = ""
    response_url: str = ""

    @classmethod
    def of(cls, body: dict[str, Any], action: dict[str, Any]) -> Self:
        """Read Slack's block_actions. Feedback buttons say which of the two in their value, "up:…"."""
        container, message = body.get("container") or {}, body.get("message") or {}
        verb, value = action["action_id"].rpartition(":")[2], action.get("value") or ""
        if verb == "judge":
            verb, _, value = value.partition(":")
        return cls(
            verb=verb,
            value=value,
            team=(body.get("team") or {}).get("id") or "",
            channel=(body.get("channel") or {}).get("id") or container.get("channel_id") or "",
            user=body["user"]["id"],
            ts=message.get("ts") or container.get("message_ts") or "",
            thread_ts=message.get("thread_ts") or container.get("thread_ts"),
            trigger_id=body.get("trigger_id") or "",
            response_url=body.get("response_url") or "",
        )

    @property
    def user_id(self) -> str:
        return names.user_id(self.user)

    @property
    def key(self) -> str:
        return names.message_key(self.channel, self.ts)

    @property
    def places(self) -> tuple[str, ...]:
        return names.places_of(self.team, self.channel, self.thread_ts)


async def respond(url: str, sentence: str, blocks: Sequence[dict[str, Any]] = (), *, replaces: bool = False) -> None:
    """Answer a command or a press to one person alone, wherever they are. What cannot be said is logged."""
    harmless = without_calls(sentence)
    try:
        answer = await AsyncWebhookClient(url, timeout=TIMEOUT_S).send(
            text=escaped(harmless),
            blocks=[{"type": "markdown", "text": harmless}, *blocks],
            response_type="ephemeral",
            replace_original=replaces,
        )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        logger.info("Somebody could not be told: %s", type(error).__name__)
        return
    if answer.status_code != 200:
        logger.info("Somebody could not be told: status %d", answer.status_code)


def responder(url: str, *, replaces: bool = False) -> Tell:
    """What answers there; `replaces` changes the message whose button was pressed."""
    return partial(respond, url, replaces=replaces)
