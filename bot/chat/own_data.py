"""/privacy, /mydata, /forget and /consent: everybody's rights over what is kept about them. Knows no SDK.

A platform shows the cards to that person alone, and hands back which button they pressed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bot.chat import privacy_cards
from bot.chat.forgetting import Forgetting
from bot.chat.platform import Capabilities
from core.settings import Settings
from core.store import consent as consents
from core.store import data_rights, places
from core.store.consent import CONSENT_VERSION
from core.store.db import Store

FILE_NAME = "mydata.json"
FILE_NOTE = "Everything this bot keeps about you. Times are seconds since 1970, UTC."
NOTHING_ERASED = "Nothing was erased."

PrivatePlaces: TypeAlias = Callable[[], Awaitable[Collection[str]]]
"""Finds the places of a person that nobody else sees."""


@dataclass(frozen=True, slots=True)
class CardButton:
    """`kind` says how it looks: what erases everything stands out."""

    verb: str
    label: str
    kind: Literal["plain", "good", "danger"] = "plain"


@dataclass(frozen=True, slots=True)
class Card:
    """Something to say to one person alone, in place of the card whose button they pressed."""

    text: str
    buttons: tuple[CardButton, ...] = ()


ERASE = CardButton("forget", "Erase everything", "danger")
KEEP = CardButton("keep", "Keep it")
GIVE = CardButton("give", "Yes, keep my words", "good")
WITHDRAW = CardButton("withdraw", "No, keep nothing and erase what was kept")
BUTTONS = {button.verb: button for button in (ERASE, KEEP, GIVE, WITHDRAW)}


class OwnData:
    """Everything here raises StoreUnavailable."""

    def __init__(self, platform: Capabilities, store: Store, settings: Settings, forgetting: Forgetting) -> None:
        self._platform = platform
        self._store = store
        self._settings = settings
        self._forgetting = forgetting

    def privacy(self) -> Card:
        return Card(privacy_cards.privacy(self._settings, self._platform))

    async def export(self, user_id: str) -> dict[str, Any]:
        """/mydata: all that is kept about a person."""
        async with self._store.read() as session:
            return await data_rights.export(session, user_id)

    async def file(self, user_id: str) -> str:
        """The same, as what stands in FILE_NAME."""
        found = await self.export(user_id)
        return await asyncio.to_thread(json.dumps, found, indent=2, ensure_ascii=False)  # a long life takes seconds

    def forget(self) -> Card:
        """The last question before everything is erased."""
        return Card(privacy_cards.FORGET_WARNING, (ERASE, KEEP))

    async def consent(self, user_id: str, here: Sequence[str], *, is_private: bool) -> Card:
        """The terms with the person's present answer, and the button for the other one."""
        async with self._store.read() as session:
            has_agreed = await consents.has(session, user_id)
            settings = await places.settings_of(session, *here)
        text = privacy_cards.consent(
            self._settings,
            self._platform,
            version=CONSENT_VERSION,
            has_agreed=has_agreed,
            is_text_kept_here=None if is_private else settings.is_text_kept,
        )
        return Card(text, (WITHDRAW if has_agreed else GIVE,))

    async def press(
        self,
        verb: str,
        version: int,
        user_id: str,
        here: Sequence[str],
        private_places: PrivatePlaces,
        *,
        is_private: bool,
    ) -> Card:
        """What stands in place of a card one of whose buttons was pressed; `version` is that of the card's terms.

        A yes to older terms says nothing; the present ones are shown. Raises what `private_places` does.
        """
        if verb == ERASE.verb:
            done = await self._forgetting.person(user_id, await private_places())
            return Card(privacy_cards.forgotten(done, self._settings))
        if verb == KEEP.verb:
            return Card(NOTHING_ERASED)
        async with self._store.write() as session:
            if verb == WITHDRAW.verb:
                await consents.withdraw(session, user_id)
            elif version == CONSENT_VERSION:
                await consents.give(session, user_id, source=self._platform.source)
        return await self.consent(user_id, here, is_private=is_private)
