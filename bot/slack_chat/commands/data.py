"""/privacy, /mydata, /forget and /consent on Slack: cards to one person alone, and a file in direct messages."""

from __future__ import annotations

from bot.chat.own_data import BUTTONS, FILE_NAME, FILE_NOTE, Card, OwnData
from bot.slack_chat.asked import Asked
from bot.slack_chat.buttons import Block, actions, plain
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.names import THREAD, channel_place, prefix_of
from core.store import places
from core.store.consent import CONSENT_VERSION
from core.store.db import Store

PREFIX = "data:"  # what every action_id here begins with
SENT = "I have sent it to you as a file, in our direct messages."
STYLES = {"good": {"style": "primary"}, "danger": {"style": "danger"}}


class DataCommands:
    """Raises StoreUnavailable, ScreenGone and ScreenRefused."""

    def __init__(self, connection: Connection, store: Store, own_data: OwnData) -> None:
        self._connection = connection
        self._store = store
        self._own_data = own_data

    async def privacy(self, asked: Asked) -> None:
        await _show(self._own_data.privacy(), asked)

    async def mydata(self, asked: Asked) -> None:
        content = await self._own_data.file(asked.user_id)
        channel = await self._direct_messages(asked.user)
        client = self._connection.client
        await attempt(
            lambda: client.files_upload_v2(
                channel=channel, filename=FILE_NAME, content=content, title=FILE_NAME, initial_comment=FILE_NOTE
            )
        )
        await asked.tell(SENT)

    async def forget(self, asked: Asked) -> None:
        await _show(self._own_data.forget(), asked)

    async def consent(self, asked: Asked) -> None:
        await _show(await self._own_data.consent(asked.user_id, asked.places, is_private=asked.is_private), asked)

    async def press(self, verb: str, value: str, asked: Asked) -> None:
        """One of the buttons here was pressed."""

        async def private_places() -> tuple[str, ...]:
            return await self._private_places(asked.user)

        if verb in BUTTONS:
            person, here, version = asked.user_id, asked.places, int(value or 0)
            card = await self._own_data.press(verb, version, person, here, private_places, is_private=asked.is_private)
            await _show(card, asked)

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


async def _show(card: Card, asked: Asked) -> None:
    drawn: list[Block] = [
        {
            "type": "button",
            "action_id": f"{PREFIX}{button.verb}",
            "value": str(CONSENT_VERSION),
            "text": plain(button.label),
            **STYLES.get(button.kind, {}),
        }
        for button in card.buttons
    ]
    await asked.tell(card.text, [actions(*drawn)] if drawn else [])
