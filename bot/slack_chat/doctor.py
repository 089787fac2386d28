"""Looks at the bot from outside, for the doctor: tokens, scopes, socket, manifest. Asks Slack alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

from slack_sdk.errors import SlackApiError

from bot.chat.findings import Finding, Level
from bot.slack_chat.calls import OUTAGES, code_of
from bot.slack_chat.connection import Connection
from bot.slack_chat.login import check_tokens, open_socket, own_ids
from bot.slack_chat.manifest import APPS, ESSENTIAL, SCOPES, drift_of
from bot.slack_chat.names import check_names
from core.errors import InvalidSetting
from core.settings import Settings

SCOPES_PAGE = f"{APPS}, OAuth & Permissions, Bot Token Scopes; then Reinstall to Workspace"
DRIFT = (
    "the app was made from another version's manifest: `{manifest}` prints this one's; paste it at"
    f" {APPS}, App Manifest, and reinstall"
)
UNSEEN = (
    "which events and commands the app has, Slack tells for a configuration token alone: generate one at"
    " https://api.slack.com/apps, Your App Configuration Tokens, and set PERSONAS_SLACK_CONFIG_TOKEN for this one call"
)
NO_EXPORT = (
    "Slack does not show the app's manifest ({}); generate PERSONAS_SLACK_CONFIG_TOKEN anew at"
    " https://api.slack.com/apps, Your App Configuration Tokens"
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
    scopes = list(_scopes(headers.get("x-oauth-scopes", "")))
    for finding in scopes:
        yield finding
    token = settings.slack_app_token
    address = await open_socket(connection.client, "" if token is None else token.get_secret_value())
    yield _finding("ok", "the app token opens sockets; Socket Mode is on")
    events = [finding async for finding in _events(connection, settings, address)]
    for finding in events:
        yield finding
    if any(finding.level != "ok" for finding in (*scopes, *events)):
        yield _finding("warn", DRIFT.format(manifest=manifest))


def _scopes(given: str) -> Iterator[Finding]:
    """What the token may do, as the header of every answer says it, against what the manifest asks for."""
    has = {scope.strip() for scope in given.split(",") if scope.strip()}
    missing = sorted(SCOPES.keys() - has)
    if not has:
        yield _finding("warn", "Slack does not say which scopes the bot token has")
        return
    for scope in missing:
        yield _finding(_level(scope), f"the scope {scope} is missing, so {SCOPES[scope]}: {SCOPES_PAGE}")
    if not missing:
        yield _finding("ok", "the bot token has every scope of this version's manifest")


async def _events(connection: Connection, settings: Settings, address: str) -> AsyncIterator[Finding]:
    """What the app hears, by its own manifest, which Slack shows for a configuration token; `address` names the app."""
    token, app_id = settings.slack_config_token, parse_qs(urlsplit(address).query).get("app_id", [""])[0]
    if token is None:
        yield _finding("ok", UNSEEN)
        return
    secret = token.get_secret_value()
    try:
        made = await connection.client.apps_manifest_export(app_id=app_id, token=secret)
    except SlackApiError as error:
        yield _finding("fail", NO_EXPORT.format(code_of(error)))
        return
    found = drift_of(made["manifest"])
    for drift in found:
        yield _finding(_level(drift.name), drift.sentence)
    if not found:
        yield _finding("ok", "the app has every event and command of this version's manifest")


def _level(name: str) -> Level:
    return "fail" if name in ESSENTIAL else "warn"


def _finding(level: Level, text: str) -> Finding:
    return Finding(level, "slack", text)
