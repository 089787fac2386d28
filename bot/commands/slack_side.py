"""Slack beside the web side. Imports no slack_bolt before it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat.access import AccessLimits
from bot.commands.chat_side import ChatSide, not_installed

if TYPE_CHECKING:
    from bot.slack_chat.client import SlackChat

PACKAGE = "slack_bolt"
NOT_INSTALLED = not_installed("PERSONAS_SLACK_BOT_TOKEN", "slack-bolt", "slack")


class SlackSide(ChatSide["SlackChat"]):
    """One token without the other is a mistake, of which it tells."""

    name = "Slack"
    package = PACKAGE
    not_installed = NOT_INSTALLED

    @property
    def is_set_up(self) -> bool:
        settings = self._service.settings
        return settings.slack_bot_token is not None or settings.slack_app_token is not None

    def _make_chat(self) -> SlackChat:
        from bot.slack_chat.client import SlackChat

        settings = self._service.settings
        return SlackChat(self._service, settings, limits=AccessLimits.of(settings))

    async def _greeting_of(self, chat: SlackChat) -> str:
        await chat.is_ready.wait()
        own = chat.parts.connection.own
        return f"{own.name} in the workspace {own.workspace or own.team}"
