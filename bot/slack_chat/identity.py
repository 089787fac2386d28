"""Who a reply seems to come from: each message has the persona's own name and icon, where Slack allows that."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.chat.faces import Faces
from bot.chat.responder import PendingReply
from bot.slack_chat.connection import Connection
from bot.slack_chat.heard import Heard
from bot.slack_chat.names import split_key
from bot.slack_chat.screens import SlackScreen
from bot.slack_chat.sending import Look

# Slack wants an icon by its own name for the emoji, here without variation selectors; one that is not here leaves the
# bot's own icon.
ICONS: Mapping[str, str] = MappingProxyType(
    {
        "🏴\u200d☠": ":pirate_flag:",
        "🏴": ":waving_black_flag:",
        "🧶": ":yarn:",
        "🕵": ":sleuth_or_spy:",
        "🎋": ":tanabata_tree:",
        "🧘": ":person_in_lotus_position:",
        "🎭": ":performing_arts:",
        "🤖": ":robot_face:",
        "🧙": ":mage:",
        "🦉": ":owl:",
        "🐱": ":cat:",
    }
)


class Identities:
    """Makes the screens of replies."""

    def __init__(self, connection: Connection, faces: Faces) -> None:
        self._connection = connection
        self._faces = faces

    def look(self, model: str) -> Look:
        icon = ICONS.get((self._faces.emoji(model) or "").replace("\ufe0f", ""))
        lines = tuple(self._faces.catchphrases(model))
        return Look(self._faces.name(model), self._faces.title(model), icon, lines)

    def screen(self, question: Heard, reply: PendingReply) -> SlackScreen:
        """Where the answer to a message is shown: in its thread."""
        return SlackScreen(
            self._connection,
            question.channel,
            question.root_ts,
            self.look(reply.model),
            recipient=None if question.is_bot else question.user,
        )

    def screen_on(self, key: str, thread_ts: str | None, model: str) -> SlackScreen:
        """The messages that show a reply, of which this is one, to be rewritten by `model`."""
        return SlackScreen(self._connection, split_key(key)[0], thread_ts, self.look(model))
