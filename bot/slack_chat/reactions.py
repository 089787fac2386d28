"""👍 and 👎 as reactions on Slack, found by channel and timestamp.

Whose message it is Slack does not say where a persona's name stands on it, so that is never asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bot.chat.replies import RunningReplies
from bot.chat.thumbs import Thumbs
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.names import SOURCE, message_key, split_key, user_id
from bot.slack_chat.people import People
from core.names import parse_person
from core.store import exchanges
from core.store.db import Store

LABELS: Mapping[str, bool] = MappingProxyType({"+1": True, "thumbsup": True, "-1": False, "thumbsdown": False})

SHOWN_WITHIN_S = 7 * 24 * 3600.0  # older replies are seldom judged, and every message costs a look
MAX_SHOWN = 50


def label_of(name: str) -> bool | None:
    """What an emoji says of a reply: True for a thumb up in any skin ("+1::skin-tone-3"), None for all others."""
    return LABELS.get(name.partition("::")[0])


class Reactions:
    """`needs_catch_up` is set where an event could not be taken in, and after every start."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        replies: RunningReplies,
        people: People,
        needs_catch_up: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._store = store
        self._people = people
        self._thumbs = Thumbs(store, SOURCE, replies, self._read, needs_catch_up)

    async def on_added(self, event: dict[str, Any]) -> None:
        label, item = label_of(event["reaction"]), event["item"]
        if label is None or item.get("type") != "message" or await self._is_bot(event["user"]):
            return
        key = message_key(item["channel"], item["ts"])
        await self._thumbs.give(key, user_id(event["user"]), label=label, age_s=_age_s(item["ts"]))

    async def on_removed(self, event: dict[str, Any]) -> None:
        label, item = label_of(event["reaction"]), event["item"]
        if label is not None and item.get("type") == "message":
            key = message_key(item["channel"], item["ts"])
            await self._thumbs.take_back(key, age_s=_age_s(item["ts"]), label=label, only=user_id(event["user"]))

    async def read_all(self) -> None:
        """Let what is kept of the newest replies agree with the thumbs that stand under them."""
        async with self._store.read() as session:
            since = time.time() - SHOWN_WITHIN_S
            shown = await exchanges.shown_since(session, SOURCE, since=since, limit=MAX_SHOWN)
        for exchange_id in dict.fromkeys(exchange_id for _, exchange_id, _ in shown):
            await self._thumbs.read_again(exchange_id)

    async def _is_bot(self, user: str) -> bool:
        return user == self._connection.own.user or await self._people.is_bot(user)

    async def _read(self, key: str, only: str | None = None) -> list[tuple[str, bool]]:
        """Who has given a message which thumb, without bots: everybody, or one person."""
        channel, ts = split_key(key)
        client = self._connection.client
        found = await attempt(lambda: client.reactions_get(channel=channel, timestamp=ts, full=True))
        wanted = None if only is None else parse_person(only).id
        return [
            (user_id(user), label)
            for reaction in found["message"].get("reactions") or ()
            if (label := label_of(reaction["name"])) is not None
            for user in reaction["users"]
            if wanted in (None, user) and not await self._is_bot(user)
        ]


def _age_s(ts: str) -> float:
    return time.time() - float(ts)
