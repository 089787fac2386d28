"""The messages that show replies of earlier runs on Slack, as `bot.chat.mending` asks for them."""

from __future__ import annotations

import logging
from typing import Any

from bot.chat.buttons import ReplyButtons
from bot.chat.mending import LeftPage
from bot.chat.platform import ScreenGone
from bot.slack_chat.buttons import values_in, verbs_in
from bot.slack_chat.calls import Refused, attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.history import History
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import SOURCE, message_key, split_key
from bot.slack_chat.wording import text_in
from core.store import exchanges
from core.store.db import Store
from core.store.models import Delivery, Exchange

LOOKED_THROUGH = 25  # messages from the question on

logger = logging.getLogger(__name__)


class LeftPages:
    """Implements `bot.chat.mending.LeftPages`."""

    def __init__(self, connection: Connection, store: Store, history: History, identities: Identities) -> None:
        self._connection = connection
        self._store = store
        self._history = history
        self._identities = identities

    async def reach(self, page: Delivery, model: str) -> LeftPage:
        key = page.message_id
        await self._end_stream(key)
        message = await self._history.fetch(key)
        if message is None:
            raise ScreenGone("The reply was deleted.")
        thread_ts = message.get("thread_ts")
        header = self._identities.screen_on(key, thread_ts, model).header if page.position == 0 else ""
        words = text_in(message).removeprefix(header).strip()
        content = "\n".join(filter(None, (header, words)))
        is_running = "again" not in verbs_in(message)  # which stands under every reply that has ended

        async def edit(text: str | None, buttons: ReplyButtons | None) -> None:
            if text is None and not is_running:
                return  # as it is: a message that is changed loses the persona's name
            screen = self._identities.screen_on(key, thread_ts, model)
            screen.buttons = buttons
            await screen.edit(key, content if text is None else text)

        async def post(text: str, buttons: ReplyButtons | None) -> str:
            screen = self._identities.screen_on(key, thread_ts, model)
            screen.buttons = buttons
            return await screen.post(text)

        return LeftPage(key, header, content, is_running, edit, post)

    async def remove(self, page: Delivery) -> None:
        await self._identities.screen_on(page.message_id, None, "base").remove(page.message_id)

    async def find(self, exchange: Exchange) -> str | None:
        """Its ⏹ names it. A stream has no buttons before its end, but is known by that it can still be ended."""
        own = await self._own_after(exchange.question_id or "")
        for key, message in own.items():
            if exchange.id in values_in(message):
                return key
        async with self._store.read() as session:
            noted = await exchanges.find_by_deliveries(session, SOURCE, list(own))
        for key in own.keys() - noted.keys():
            if await self._end_stream(key):
                return key
        return None

    async def _own_after(self, question_key: str) -> dict[str, dict[str, Any]]:
        """The bot's messages in a question's thread that are younger than it."""
        channel, ts = split_key(question_key)
        question = await self._history.fetch(question_key)
        if question is None:
            return {}
        client, root_ts = self._connection.client, question.get("thread_ts") or ts
        found = await attempt(
            lambda: client.conversations_replies(channel=channel, ts=root_ts, oldest=ts, limit=LOOKED_THROUGH)
        )
        messages = [dict(one) for one in found["messages"] if float(one["ts"]) > float(ts)]
        return {message_key(channel, one["ts"]): one for one in messages if self._connection.is_own(one)}

    async def _end_stream(self, key: str) -> bool:
        """Slack changes no message that is still being streamed. False where there was nothing to end."""
        channel, ts = split_key(key)
        client = self._connection.client
        try:
            await attempt(lambda: client.chat_stopStream(channel=channel, ts=ts))
        except Refused as error:  # it was none, or has ended by itself
            logger.debug("No stream is to be ended in %s: %s", key, error)
            return False
        return True
