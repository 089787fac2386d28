"""/settings: how the bot behaves in a thread, channel or around them all, and what follows from a change. No SDK."""

from __future__ import annotations

from collections.abc import Sequence

from bot.chat.choosing import Choosing
from bot.chat.free_talk import FreeTalk
from bot.chat.platform import Capabilities
from core.errors import InvalidInput
from core.store import data_rights, places
from core.store.db import Store
from core.store.places import Changes, PlaceSettings

NOT_EVERYWHERE = "Free talk is opened channel by channel, so that the bot does not answer everywhere."
ERASED = "Erased: the words that were kept with {} {}."


class SettingsOfPlaces:
    """`here` are always the places where somebody asks, the narrowest first. Everything raises StoreUnavailable."""

    def __init__(self, platform: Capabilities, store: Store, choosing: Choosing, free_talk: FreeTalk) -> None:
        self._source = platform.source
        self._store = store
        self._choosing = choosing
        self._free_talk = free_talk

    def check(self, here: Sequence[str], scope: str | None, changes: Changes) -> None:
        """Raises InvalidInput for a place that is not here, and for free talk everywhere."""
        target, _ = self._choosing.target_of(here, scope)
        if changes.get("is_free_talk") and target == self._choosing.scopes[-1]:
            raise InvalidInput(NOT_EVERYWHERE)

    async def change(
        self, here: Sequence[str], scope: str | None, changes: Changes, *, is_private: bool
    ) -> tuple[list[str], PlaceSettings]:
        """Change it with all that follows from it: what there is to say about that, and what the place had chosen.

        Raises what `check` does.
        """
        self.check(here, scope, changes)
        target, place = self._choosing.target_of(here, scope)
        said = [f"Changed for {self._choosing.where(target, is_private=is_private)}."]
        async with self._store.write() as session:
            before = await places.settings_of(session, place)
            await places.change(session, place, source=self._source, **changes)
            if changes.get("is_text_kept") is False:
                erased = await data_rights.stop_keeping(session, place, wider=here[here.index(place) + 1 :])
                said.append(ERASED.format(erased, "answer" if erased == 1 else "answers"))
        self._free_talk.forget()
        return said, before

    async def now(self, here: Sequence[str]) -> PlaceSettings:
        async with self._store.read() as session:
            return await places.settings_of(session, *here)


def changes_of(*, free_talk: bool | None, keep_text: bool | None) -> Changes:
    """What somebody wants to change; None leaves it as it is."""
    changes = Changes()
    if free_talk is not None:
        changes["is_free_talk"] = free_talk
    if keep_text is not None:
        changes["is_text_kept"] = keep_text
    return changes


def lines_of(now: PlaceSettings, *more: str, otherwise: str) -> list[str]:
    """What counts, for people, with what only one platform knows. `otherwise`: what is answered without free talk."""
    kept = "of people who agreed with `/consent`" if now.is_text_kept else "no words are kept, whoever agreed"
    return [
        "**What counts here**",
        *more,
        f"- free talk **{on_off(now.is_free_talk)}**: "
        + ("every message is answered" if now.is_free_talk else otherwise),
        f"- keeping text **{on_off(now.is_text_kept)}**: {kept}",
    ]


def on_off(is_on: bool) -> str:
    return "on" if is_on else "off"
