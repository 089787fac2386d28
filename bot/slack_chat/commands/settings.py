"""/settings: how the bot behaves in a thread, channel or workspace. Who manages the workspace may change it."""

from __future__ import annotations

import re

from bot.chat.choosing import Choosing
from bot.chat.place_settings import SettingsOfPlaces, changes_of, lines_of
from bot.slack_chat.asked import Asked
from bot.slack_chat.people import People
from core.errors import InvalidInput, PermissionNeeded

OPTION = re.compile(r"(free_talk|keep_text)[:= ]\s*(on|off|true|false)", re.IGNORECASE)
HOW = "Write `free_talk:on`, `free_talk:off`, `keep_text:on` or `keep_text:off`, and where it counts if not here: `{}`."
ONLY_ADMINS = "Only who manages this workspace may change that."
OTHERWISE = "mentions, and threads I am in, are answered"


class SettingsCommand:
    """Raises InvalidInput, PermissionNeeded and StoreUnavailable."""

    def __init__(self, settings: SettingsOfPlaces, choosing: Choosing, people: People) -> None:
        self._settings = settings
        self._choosing = choosing
        self._people = people

    async def run(self, asked: Asked) -> None:
        given = {name.lower(): value.lower() in ("on", "true") for name, value in OPTION.findall(asked.words)}
        scope = OPTION.sub("", asked.words).strip().lower() or None
        if scope is not None and scope not in self._choosing.scopes:
            raise InvalidInput(HOW.format("`, `".join(self._choosing.scopes)))
        changes = changes_of(free_talk=given.get("free_talk"), keep_text=given.get("keep_text"))
        self._settings.check(asked.places, scope, changes)
        said: list[str] = []
        if changes:
            if not await self._people.is_admin(asked.user):
                raise PermissionNeeded(ONLY_ADMINS)
            said, _ = await self._settings.change(asked.places, scope, changes, is_private=asked.is_private)
        now = lines_of(await self._settings.now(asked.places), otherwise=OTHERWISE)
        await asked.tell("\n".join([*said, *now]))
