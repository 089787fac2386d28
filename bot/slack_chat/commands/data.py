"""/privacy, /mydata, /forget and /consent: everybody's rights over what is kept about them, seen by them alone."""

from __future__ import annotations

import json
from typing import Any

from bot.chat import privacy_cards
from bot.chat.forgetting import Forgetting
from bot.slack_chat.asked import Asked
from bot.slack_chat.buttons import actions, plain
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import CAPABILITIES, Connection
from bot.slack_chat.names import SOURCE, THREAD, channel_place, prefix_of
from core.settings import Settings
from core.store import consent as consents
from core.store import data_rights, places
from core.store.consent import CONSENT_VERSION
from core.store.db import Store

PREFIX = "data:"  # what every action_id here begins with
SENT = "I have sent it to you as a file, in our direct messages."
FILE_NOTE = "Everything this bot keeps about you. Times are seconds since 1970, UTC."
NOTHING_ERASED = "Nothing was erased."


class DataCommands:
    """Raises StoreUnavailable, ScreenGone and ScreenRefused."""

    def __init__(self, connection: Connection, store: Store, settings: Settings, forgetting: Forgetting) -> None:
        self._connection = connection
        self._store = store
        self._settings = settings
        self._forgetting = forgetting

    async def privacy(self, asked: Asked) -> None:
        await asked.tell(privacy_cards.privacy(self._settings, CAPABILITIES))

    async def mydata(self, asked: Asked) -> None:
        async with self._store.read() as session:
            found = await data_rights.export(session, asked.user_id)
        content = json.dumps(found, indent=2, ensure_ascii=False)
        channel = await self._direct_messages(asked.user)
        client = self._connection.client
        await attempt(
            lambda: client.files_upload_v2(
                channel=channel, filename="mydata.json", content=content, title="mydata.json", initial_comment=FILE_NOTE
            )
        )
        await asked.tell(SENT)

    async def forget(self, asked: Asked) -> None:
        await asked.tell(
            privacy_cards.FORGET_WARNING,
            [actions(_button("forget", "Erase everything", style="danger"), _button("keep", "Keep it"))],
        )

    async def consent(self, asked: Asked) -> None:
        """The terms with the person's present answer, and the button for the other one."""
        async with self._store.read() as session:
            has_agreed = await consents.has(session, asked.user_id)
            here = await places.settings_of(session, *asked.places)
        card = privacy_cards.consent(
            self._settings,
            CAPABILITIES,
            version=CONSENT_VERSION,
            has_agreed=has_agreed,
            is_text_kept_here=None if asked.is_private else here.is_text_kept,
        )
        other = _button("withdraw", "No, keep nothing and erase what was kept")
        if not has_agreed:
            other = _button("give", "Yes, keep my words", style="primary")
        await asked.tell(card, [actions(other)])

    async def press(self, verb: str, value: str, asked: Asked) -> None:
        """One of the buttons here was pressed. A yes to older terms says nothing; the present ones are shown."""
        match verb:
            case "forget":
                done = await self._forgetting.person(asked.user_id, await self._private_places(asked.user))
                await asked.tell(privacy_cards.forgotten(done, self._settings))
            case "keep":
                await asked.tell(NOTHING_ERASED)
            case "give" | "withdraw":
                async with self._store.write() as session:
                    if verb == "withdraw":
                        await consents.withdraw(session, asked.user_id)
                    elif value == str(CONSENT_VERSION):
                        await consents.give(session, asked.user_id, source=SOURCE)
                await self.consent(asked)

    async def _private_places(self, user: str) -> tuple[str, ...]:
        """The person's direct messages with the bot, and the threads there, which nobody else sees."""
        channel = channel_place(await self._direct_messages(user))
        async with self._store.read() as session:
            inside = await places.with_something_kept_inside(session, prefix_of(THREAD), around=channel)
        return channel, *(thread for thread, where in inside if where == channel)

    async def _direct_messages(self, user: str) -> str:
        client = self._connection.client
        found = await attempt(lambda: client.conversations_open(users=user))
        return str(found["channel"]["id"])


def _button(verb: str, label: str, **look: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "action_id": f"{PREFIX}{verb}",
        "value": str(CONSENT_VERSION),
        "text": plain(label),
        **look,
    }
