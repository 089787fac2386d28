"""/settings: how the bot behaves in a thread, channel or workspace. Who manages the workspace may change it."""

from __future__ import annotations

import re

from bot.chat.choosing import Choosing
from bot.chat.free_talk import FreeTalk
from bot.slack_chat.asked import Asked
from bot.slack_chat.names import SOURCE
from bot.slack_chat.people import People
from core.errors import InvalidInput, PermissionNeeded
from core.store import data_rights, places
from core.store.db import Store
from core.store.places import Changes, PlaceSettings

OPTION = re.compile(r"(free_talk|keep_text)[:= ]\s*(on|off|true|false)", re.IGNORECASE)
HOW = "Write `free_talk:on`, `free_talk:off`, `keep_text:on` or `keep_text:off`, and where it counts if not here: `{}`."
ONLY_ADMINS = "Only who manages this workspace may change that."
NOT_EVERYWHERE = "Free talk is opened channel by channel, so that the bot does not answer everywhere."


class SettingsCommand:
    """Raises InvalidInput, PermissionNeeded and StoreUnavailable."""

    def __init__(self, store: Store, choosing: Choosing, free_talk: FreeTalk, people: People) -> None:
        self._store = store
        self._choosing = choosing
        self._free_talk = free_talk
        self._people = people

    async def run(self, asked: Asked) -> None:
        changes = {name.lower(): value.lower() in ("on", "true") for name, value in OPTION.findall(asked.words)}
        scope = OPTION.sub("", asked.words).strip().lower() or None
        if scope is not None and scope not in self._choosing.scopes:
            raise InvalidInput(HOW.format("`, `".join(self._choosing.scopes)))
        target, place = self._choosing.target_of(asked.places, scope)
        if changes.get("free_talk") and target == self._choosing.scopes[-1]:
            raise InvalidInput(NOT_EVERYWHERE)
        if changes and not await self._people.is_admin(asked.user):
            raise PermissionNeeded(ONLY_ADMINS)
        said = await self._change(asked.places, place, changes)
        if changes:
            said.insert(0, f"Changed for {self._choosing.where(target, is_private=asked.is_private)}.")
        async with self._store.read() as session:
            now = await places.settings_of(session, *asked.places)
        await asked.tell("\n".join([*said, "**What counts here**", *_lines(now)]))

    async def _change(self, here: tuple[str, ...], place: str, asked: dict[str, bool]) -> list[str]:
        """Change it with all that follows from it; what there is to say about that."""
        changes = Changes()
        if "free_talk" in asked:
            changes["is_free_talk"] = asked["free_talk"]
        if "keep_text" in asked:
            changes["is_text_kept"] = asked["keep_text"]
        if not changes:
            return []
        said = []
        async with self._store.write() as session:
            await places.change(session, place, source=SOURCE, **changes)
            if changes.get("is_text_kept") is False:
                erased = await data_rights.stop_keeping(session, place, wider=here[here.index(place) + 1 :])
                said.append(f"Erased: the words that were kept with {erased} {'answer' if erased == 1 else 'answers'}.")
        self._free_talk.forget()
        return said


def _lines(now: PlaceSettings) -> list[str]:
    talk = "every message is answered" if now.is_free_talk else "mentions, and threads I am in, are answered"
    kept = "of people who agreed with `/consent`" if now.is_text_kept else "no words are kept, whoever agreed"
    return [
        f"- free talk **{'on' if now.is_free_talk else 'off'}**: {talk}",
        f"- keeping text **{'on' if now.is_text_kept else 'off'}**: {kept}",
    ]
