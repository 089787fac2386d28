"""Commands typed into a message, "!persona codebeard": Slack refuses slash commands inside threads.

Only a message that begins so is a command; whatever else a person writes is a question.
"""

from __future__ import annotations

import re
from functools import partial

from bot.slack_chat.asked import Asked, Commands
from bot.slack_chat.heard import Heard
from bot.slack_chat.speaker import Speaker

TYPED = re.compile(r"!([a-z]+)(?:\s+(.*))?", re.DOTALL)


class TypedCommands:
    def __init__(self, commands: Commands, speaker: Speaker) -> None:
        self._commands = commands
        self._speaker = speaker

    def find(self, text: str) -> tuple[str, str] | None:
        """The command's name and the words behind it; None where the text is no command."""
        found = TYPED.fullmatch(text)
        if found is None or found[1] not in self._commands:
            return None
        return found[1], (found[2] or "").strip()

    def is_command(self, text: str) -> bool:
        return self.find(text) is not None

    async def run(self, name: str, words: str, message: Heard) -> None:
        tell = partial(self._speaker.tell, message.channel, message.thread_ts, message.user)
        where = message.team, message.channel, message.user
        asked = Asked(*where, words, tell, message.thread_ts, key=message.key, is_counted=True)
        await self._commands[name](asked)
