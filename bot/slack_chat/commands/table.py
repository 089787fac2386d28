"""Every command there is, by its name, and how Slack's slash commands reach them. Knows none of them from within."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bot.chat.replies import RunningReplies
from bot.chat.wording import failures_told
from bot.slack_chat.asked import Asked, Commands, Tell
from bot.slack_chat.commands.data import DataCommands
from bot.slack_chat.commands.duel import DuelCommand
from bot.slack_chat.commands.persona import PersonaCommand
from bot.slack_chat.commands.settings import SettingsCommand
from bot.slack_chat.connection import Connection
from bot.slack_chat.home import Home
from bot.slack_chat.pressed import Pressed, responder

DESCRIPTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "persona": ("Choose who answers here, or see who does", "[name or blend] [strength] [channel or workspace]"),
        "personas": ("See who there is", ""),
        "duel": ("Let two versions of a persona answer, and vote blindly", "[name] [version] [version] [question]"),
        "settings": ("See or change how the bot behaves here", "[free_talk:on] [keep_text:on] [channel or workspace]"),
        "privacy": ("What this bot keeps, why and how long", ""),
        "mydata": ("Get everything this bot keeps about you, as a file", ""),
        "forget": ("Erase everything this bot keeps about you", ""),
        "consent": ("Say whether your words may be kept; off by default", ""),
    }
)
"""What each command does, and what may stand behind it, for the manifest."""


def commands_of(
    persona: PersonaCommand, settings: SettingsCommand, data: DataCommands, duel: DuelCommand, home: Home
) -> Commands:
    return MappingProxyType(
        {
            "persona": persona.run,
            "personas": home.personas,
            "duel": duel.run,
            "settings": settings.run,
            "privacy": data.privacy,
            "mydata": data.mydata,
            "forget": data.forget,
            "consent": data.consent,
        }
    )


class SlashCommands:
    """Takes in Slack's slash commands, and the presses of what the commands about data show."""

    def __init__(self, connection: Connection, replies: RunningReplies, commands: Commands, data: DataCommands) -> None:
        self._connection = connection
        self._replies = replies
        self._commands = commands
        self._data = data

    async def on_command(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        name = body["command"].lstrip("/")
        tell = responder(body["response_url"])
        where = self._connection.own.team, body["channel_id"], body["user_id"]
        asked = Asked(*where, body.get("text") or "", tell, key=body["trigger_id"])
        await self._run(name, self._commands[name](asked), tell)

    async def on_press(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        pressed = Pressed.of(body, action)
        tell = responder(pressed.response_url, replaces=True)
        asked = Asked(self._connection.own.team, pressed.channel, pressed.user, "", tell, pressed.thread_ts)
        await self._run(pressed.verb, self._data.press(pressed.verb, pressed.value, asked), tell)

    async def _run(self, name: str, work: Any, tell: Tell) -> None:
        with self._replies.busy():
            async with failures_told(tell, f"The command {name}"):
                await work
