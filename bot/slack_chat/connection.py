"""The way to Slack: its Web API, and as whom the bot is there. Whatever needs Slack asks for it at each use."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.chat.platform import Capabilities
from bot.slack_chat.names import SOURCE
from core.settings import Settings

CAPABILITIES = Capabilities(
    source=SOURCE,
    name="Slack",
    max_chars=3800,  # chat.update takes 4,000 characters of text
    edits=5,  # about a hundred calls a minute of each method, for the whole workspace
    edits_window_s=3.0,
    small_print="_{}_",
    identities=("message",),
    has_private_replies=True,
    wide_place="workspace",
)
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class OwnIds:
    """The bot as Slack knows it: its workspace, its user, and the bot that its messages name."""

    team: str
    user: str
    bot: str
    name: str = ""
    workspace: str = ""


class Connection:
    """`client` knows the bot's token; `own` is set by the login, before anything uses it.

    `can_wear_faces` becomes False once Slack has refused a persona's name: the scope chat:write.customize is missing.
    `sent` are the newest messages that Slack has answered for.
    """

    own: OwnIds

    def __init__(self, settings: Settings) -> None:
        token = settings.slack_bot_token
        self.client = AsyncWebClient(
            token=None if token is None else token.get_secret_value(),
            base_url=settings.slack_api_url,
            timeout=TIMEOUT_S,
            retry_handlers=[],  # slack_sdk's own would post a message again whose answer was lost
        )
        self.can_wear_faces = True
        self.sent: OrderedDict[str, None] = OrderedDict()

    def is_own(self, message: dict[str, Any]) -> bool:
        """Whether the bot wrote this message, under whatever name."""
        return self.own.user == message.get("user") or self.own.bot == message.get("bot_id")
