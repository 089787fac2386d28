"""The two tokens, and what Slack says to them."""

from __future__ import annotations

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack_chat.calls import BAD_TOKENS, code_of
from bot.slack_chat.connection import OwnIds
from core.errors import InvalidSetting
from core.settings import Settings

MISSING = (
    "{} is not set; copy the {} token from your app's page at api.slack.com/apps, see docs/slack.md. Slack needs both:"
    " PERSONAS_SLACK_BOT_TOKEN and PERSONAS_SLACK_APP_TOKEN."
)
REFUSED = "Slack does not accept {} ({}); copy it anew from your app's page at api.slack.com/apps, see docs/slack.md."
BOT, APP = "PERSONAS_SLACK_BOT_TOKEN", "PERSONAS_SLACK_APP_TOKEN"


def check_tokens(settings: Settings) -> None:
    """Raises InvalidSetting where one of them is missing, or stands in the other's place."""
    for name, kind, token, prefix in (
        (BOT, "bot's", settings.slack_bot_token, "xoxb-"),
        (APP, "app-level", settings.slack_app_token, "xapp-"),
    ):
        if token is None:
            raise InvalidSetting(MISSING.format(name, kind))
        if not token.get_secret_value().startswith(prefix):
            raise InvalidSetting(f'{name} does not begin with "{prefix}"; see docs/slack.md for which token is which.')


async def own_ids(client: AsyncWebClient) -> OwnIds:
    """As whom the bot is there. Raises InvalidSetting for a token that Slack refuses, and what slack_sdk raises."""
    try:
        found = await client.auth_test()
    except SlackApiError as error:
        if code_of(error) in BAD_TOKENS:
            raise InvalidSetting(REFUSED.format(BOT, code_of(error))) from error
        raise
    return OwnIds(
        team=str(found["team_id"]),
        user=str(found["user_id"]),
        bot=str(found.get("bot_id") or ""),
        name=str(found.get("user") or ""),
        workspace=str(found.get("team") or ""),
    )


async def open_socket(client: AsyncWebClient, app_token: str) -> str:
    """The address of a new socket. Raises InvalidSetting for a token that Slack refuses, and what slack_sdk raises."""
    try:
        return str((await client.apps_connections_open(app_token=app_token))["url"])
    except SlackApiError as error:
        code = code_of(error)
        if code == "socket_mode_not_enabled":
            raise InvalidSetting("Socket Mode is off; switch it on at api.slack.com/apps, Socket Mode.") from error
        if code in BAD_TOKENS or code == "missing_scope":
            raise InvalidSetting(REFUSED.format(APP, code)) from error
        raise
