"""/persona: who answers in a thread, channel or workspace. Knows no identities and no replies."""

from __future__ import annotations

import re

from bot.chat.choosing import Choosing
from bot.slack_chat.asked import Asked
from bot.slack_chat.people import People
from bot.slack_chat.sending import Look
from bot.slack_chat.speaker import Speaker
from core.errors import PermissionNeeded

STRENGTH = re.compile(r"[\d.,]+\s*%?")
ONLY_ADMINS = "Only who manages this workspace chooses for all of it; leave the word workspace out."


class PersonaCommand:
    """`/persona codebeard`, `/persona zen 50%`, `/persona codebeard:0.7+zen:0.3 workspace`, or nothing to see who does.

    Raises NotFound, InvalidBlend, InvalidInput, PermissionNeeded and StoreUnavailable.
    """

    def __init__(self, choosing: Choosing, people: People, speaker: Speaker) -> None:
        self._choosing = choosing
        self._people = people
        self._speaker = speaker

    async def run(self, asked: Asked) -> None:
        if not asked.words:
            await asked.tell(await self._choosing.shown(asked.places, is_private=asked.is_private))
            return
        name, strength, scope = self._parse(asked.words)
        chosen = self._choosing.chosen(name, strength)
        if scope == self._choosing.scopes[-1] and not await self._people.is_admin(asked.user):
            raise PermissionNeeded(ONLY_ADMINS)
        said = await self._choosing.bind(asked.places, scope, chosen, is_private=asked.is_private)
        greeter = self._choosing.greeter_of(chosen)
        if greeter is not None:
            said = f"{said}\n\n{greeter.file.emoji} {greeter.file.greeting}"
        look = None if greeter is None else Look(greeter.name, greeter.name)
        if not await self._speaker.say(asked.channel, asked.thread_ts, said, look=look):
            await asked.tell(said)  # the bot is no member here, but may answer who used the command

    def _parse(self, words: str) -> tuple[str, str, str | None]:
        """Name, strength and scope; a name may have blanks in it."""
        parts = words.split()
        scope = parts.pop().lower() if len(parts) > 1 and parts[-1].lower() in self._choosing.scopes else None
        strength = parts.pop() if len(parts) > 1 and STRENGTH.fullmatch(parts[-1]) else ""
        return " ".join(parts).strip("`"), strength, scope
