"""Looks at the bot from outside, for the doctor: tokens, scopes, socket, manifest. Asks Slack alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.chat.findings import Finding, Level
from bot.slack_chat.calls import OUTAGES, code_of
from bot.slack_chat.connection import Connection
from bot.slack_chat.login import check_tokens, open_socket, own_ids
from bot.slack_chat.manifest import ESSENTIAL, SCOPES
from bot.slack_chat.names import check_names
from core.errors import InvalidSetting
from core.settings import Settings

APPS = "https://api.slack.com/apps"
WHERE = f"{APPS}, your app, OAuth & Permissions, Bot Token Scopes; then Reinstall to Workspace"
DRIFT = (
    "the app was made from another version's manifest: `{manifest}` prints this one's; paste it at"
    f" {APPS}, your app, App Manifest, and reinstall"
)


async def inspect(settings: Settings, *, manifest: str) -> AsyncIterator[Finding]:
    """A line for each thing that Slack says about this bot. `manifest` is the command that prints the manifest."""
    try:
        check_tokens(settings)
        check_names(settings)
    except InvalidSetting as error:
        yield _finding("fail", str(error))
        return
    connection = Connection(settings)
    try:
        async for finding in _inspect(connection, settings, manifest):
            yield finding
    except InvalidSetting as error:
        yield _finding("fail", str(error))
    except OUTAGES as error:
        text = f"{settings.slack_api_url} does not answer as it should ({code_of(error)}); check the network."
        yield _finding("fail", text)


async def _inspect(connection: Connection, settings: Settings, manifest: str) -> AsyncIterator[Finding]:
    own = await own_ids(connection.client)
    yield _finding("ok", f"the bot token is that of {own.name} in the workspace {own.workspace}")
    answer = await connection.client.auth_test()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    for finding in _scopes(headers.get("x-oauth-scopes", ""), manifest):
        yield finding
    token = settings.slack_app_token
    await open_socket(connection.client, "" if token is None else token.get_secret_value())
    yield _finding("ok", "the app token opens sockets; Socket Mode is on")


def _scopes(given: str, manifest: str) -> list[Finding]:
    """What the token may do, as the header of every answer says it, against what the manifest asks for."""
    has = {scope.strip() for scope in given.split(",") if scope.strip()}
    if not has:
        return [_finding("warn", "Slack does not say which scopes the bot token has")]
    found = []
    for scope in sorted(SCOPES.keys() - has):
        level: Level = "fail" if scope in ESSENTIAL else "warn"
        found.append(_finding(level, f"the scope {scope} is missing, so {SCOPES[scope]}: {WHERE}"))
    if found:
        found.append(_finding("warn", DRIFT.format(manifest=manifest)))
    return found or [_finding("ok", "the bot token has every scope of this version's manifest")]


def _finding(level: Level, text: str) -> Finding:
    return Finding(level, "slack", text)
