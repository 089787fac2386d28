"""The app's manifest, made from what the code hears and does, so that the two never differ. Knows no connection."""

from __future__ import annotations

from collections.abc import Mapping
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
ESSENTIAL = ("app_mentions:read", "chat:write")
APP_SCOPE = "connections:write"
MESSAGE_EVENTS = ("message.channels", "message.groups", "message.im", "message.mpim")
EVENTS = (
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "channel_deleted",
    "channel_left",
    "group_deleted",
    "group_left",
    "member_left_channel",
    *MESSAGE_EVENTS,
    "reaction_added",
    "reaction_removed",
    "tokens_revoked",
)


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
