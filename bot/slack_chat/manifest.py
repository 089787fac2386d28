"""The app's manifest, made from what the code hears and does, so that the two never differ. Knows no connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bot.slack_chat.ask_about import SHORTCUT
from bot.slack_chat.commands.table import DESCRIPTIONS

NAME = "Personas"
DESCRIPTION = "Talks as many personas, each with weights of its own"
SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "app_mentions:read": "it does not hear that it is mentioned",
        "assistant:write": "it shows no status and offers nothing to begin with",
        "channels:history": "it cannot read threads in public channels",
        "channels:read": "it does not hear that it was removed from a channel",
        "chat:write": "it cannot answer",
        "chat:write.customize": "personas have no names and icons of their own",
        "commands": "it has no slash commands",
        "files:write": "/mydata cannot send a file",
        "groups:history": "it cannot read threads in private channels",
        "groups:read": "it does not hear that it was removed from a private channel",
        "im:history": "it does not hear direct messages",
        "im:write": "/mydata and /forget do not find a person's direct messages",
        "mpim:history": "it cannot read group messages",
        "reactions:read": "thumbs as reactions do not count",
        "users:read": "it does not know what people are called",
    }
)
"""What the bot may do, and what is missing without it."""
ESSENTIAL = ("app_mentions:read", "chat:write", "app_mention")
APP_SCOPE = "connections:write"
LEAVING = "what was said there is kept although the bot has left"
EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "app_home_opened": "its page in Slack stays empty",
        "app_mention": "it does not hear that it is mentioned",
        "app_uninstalled": "nothing is erased when it is removed from the workspace",
        "channel_deleted": LEAVING,
        "channel_left": LEAVING,
        "group_deleted": LEAVING,
        "group_left": LEAVING,
        "member_left_channel": LEAVING,
        "message.channels": "in public channels it hears mentions alone, and nothing of edits and deletions",
        "message.groups": "in private channels it hears mentions alone, and nothing of edits and deletions",
        "message.im": "it does not hear direct messages",
        "message.mpim": "in group messages it hears mentions alone, and nothing of edits and deletions",
        "reaction_added": "thumbs as reactions do not count",
        "reaction_removed": "a thumb that is taken back still counts",
        "tokens_revoked": "nothing is erased when its token is revoked",
    }
)
"""What the bot hears, and what is missing without it."""
APPS = "https://api.slack.com/apps, your app"


def manifest() -> dict[str, Any]:
    """What "Create New App, From a manifest" takes. https://docs.slack.dev/reference/app-manifest"""
    return {
        "display_information": {"name": NAME, "description": DESCRIPTION},
        "features": {
            "agent_view": {"agent_description": DESCRIPTION},
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": NAME, "always_online": True},
            "shortcuts": [
                {
                    "name": "Ask a persona about this",
                    "type": "message",
                    "callback_id": SHORTCUT,
                    "description": "A persona says what it thinks of a message",
                }
            ],
            "slash_commands": [_command(name, description, hint) for name, (description, hint) in DESCRIPTIONS.items()],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }


def _command(name: str, description: str, hint: str) -> dict[str, Any]:
    fields = {"command": f"/{name}", "description": description, "should_escape": False}
    return fields | ({"usage_hint": hint} if hint else {})


@dataclass(frozen=True, slots=True)
class Drift:
    """Something in which an app differs from this version's manifest: what is missing, and what to click."""

    name: str
    sentence: str


def drift_of(made: Mapping[str, Any]) -> list[Drift]:
    """In what an app, by its own manifest, differs from this version's; scopes are the token's to tell."""
    features, settings = made.get("features") or {}, made.get("settings") or {}
    events = set((settings.get("event_subscriptions") or {}).get("bot_events") or ())
    commands = {one.get("command") for one in features.get("slash_commands") or ()}
    shortcuts = {one.get("callback_id") for one in features.get("shortcuts") or ()}
    found = [
        Drift(name, f"the event {name} is not subscribed, so {without}: {APPS}, Event Subscriptions, bot events")
        for name, without in sorted(EVENTS.items())
        if name not in events
    ]
    found += [
        Drift(name, f"the command /{name} is missing: {APPS}, Slash Commands, Create New Command")
        for name in DESCRIPTIONS
        if f"/{name}" not in commands
    ]
    if SHORTCUT not in shortcuts:
        found.append(Drift(SHORTCUT, f"the message shortcut is missing: {APPS}, Interactivity & Shortcuts"))
    if not (settings.get("interactivity") or {}).get("is_enabled"):
        found.append(Drift("interactivity", f"buttons do nothing: {APPS}, Interactivity & Shortcuts, switch it on"))
    if not (features.get("app_home") or {}).get("home_tab_enabled"):
        found.append(Drift("home", f"its page is off: {APPS}, App Home, switch the Home Tab on"))
    return found
