"""Which of Slack's events, commands and presses go where: the one table of it. Each is acknowledged at once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from slack_bolt.async_app import AsyncApp

from bot.slack_chat import ask_about, buttons, presses
from bot.slack_chat.commands import data
from bot.slack_chat.commands.table import DESCRIPTIONS
from bot.slack_chat.parts import Parts

CHANGED, DELETED = "message_changed", "message_deleted"
LEFT = ("channel_left", "group_left", "channel_deleted", "group_deleted")

Hear: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


def events_of(parts: Parts) -> dict[str, Hear]:
    """What is heard, by Slack's names; the manifest subscribes to the same."""
    own = parts.connection

    async def on_message(event: dict[str, Any]) -> None:
        if event.get("subtype") == CHANGED:
            await parts.changes.on_changed(event, own.own.team)
        elif event.get("subtype") == DELETED:
            await parts.changes.on_deleted(event["channel"], event["deleted_ts"])
        else:
            await parts.listener.hear(event, own.own.team)

    async def on_left(event: dict[str, Any]) -> None:
        if event["type"] in LEFT or event.get("user") == own.own.user:
            await parts.changes.on_left(event["channel"])

    async def on_thread_started(event: dict[str, Any]) -> None:
        thread = event["assistant_thread"]
        await parts.home.offer_prompts(thread["channel_id"], thread["thread_ts"])

    async def on_uninstalled(_event: dict[str, Any]) -> None:
        await parts.changes.on_uninstalled(own.own.team)

    async def on_revoked(event: dict[str, Any]) -> None:
        if (event.get("tokens") or {}).get("bot"):
            await parts.changes.on_uninstalled(own.own.team)

    return {
        "app_mention": on_message,
        "message": on_message,
        "reaction_added": parts.reactions.on_added,
        "reaction_removed": parts.reactions.on_removed,
        "app_home_opened": parts.home.on_opened,
        "assistant_thread_started": on_thread_started,
        "member_left_channel": on_left,
        **dict.fromkeys(LEFT, on_left),
        "app_uninstalled": on_uninstalled,
        "tokens_revoked": on_revoked,
    }


def attach(app: AsyncApp, parts: Parts) -> None:
    """Let the app hear all of it."""
    for name, hear in events_of(parts).items():
        app.event(name)(_heard_by(hear))
    app.event(re.compile(".*"))(_left_alone)
    app.action(re.compile(f"^{buttons.PREFIX}"))(parts.presses.on_press)
    app.action(re.compile(f"^{data.PREFIX}"))(parts.commands.on_press)
    app.view(presses.FORM)(parts.presses.on_form)
    app.view(ask_about.FORM)(parts.ask_about.on_form)
    app.message_shortcut(ask_about.SHORTCUT)(parts.ask_about.on_shortcut)
    for name in DESCRIPTIONS:
        app.command(f"/{name}")(parts.commands.on_command)


def _heard_by(hear: Hear) -> Callable[[dict[str, Any]], Awaitable[None]]:
    async def on_event(event: dict[str, Any]) -> None:
        await hear(event)

    return on_event


async def _left_alone(event: dict[str, Any]) -> None:
    """An event that the app is subscribed to by mistake; it is acknowledged, so that Slack does not send it again."""
