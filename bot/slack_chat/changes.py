"""What people change of what was said: edited questions are answered again, and what was deleted is forgotten."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from bot.chat.deliveries import Deliveries
from bot.chat.edits import Edits
from bot.chat.forgetting import Forgetting
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.slack_chat import names
from bot.slack_chat.heard import Heard
from bot.slack_chat.history import TOMBSTONE
from bot.slack_chat.identity import Identities
from bot.slack_chat.listener import Listener, SlackQuestion
from core.errors import PersonasError
from core.store import exchanges, places
from core.store.db import Store

SHOWN_WITHIN_S = 7 * 24 * 3600.0  # older replies are seldom taken back
MAX_LOOKED_FOR = 100
LATER = "What is gone on Slack could not be forgotten wholly, which is tried again: %s"

Forget: TypeAlias = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


class Changes:
    """Hears of changed and deleted messages, of channels that the bot leaves, and of its removal from the workspace.

    `needs_catch_up` is set where something could not be forgotten yet.
    """

    def __init__(
        self,
        store: Store,
        edits: Edits,
        forgetting: Forgetting,
        deliveries: Deliveries,
        identities: Identities,
        listener: Listener,
        needs_catch_up: asyncio.Event,
    ) -> None:
        self._store = store
        self._edits = edits
        self._forgetting = forgetting
        self._deliveries = deliveries
        self._identities = identities
        self._listener = listener
        self._needs_catch_up = needs_catch_up
        self._left: list[Forget] = []

    async def on_changed(self, event: dict[str, Any], team: str) -> None:
        """A person's edit. Slack itself changes messages, too: it unfolds links, and marks where a thread began."""
        message, before = event["message"], event.get("previous_message") or {}
        if message.get("subtype") == TOMBSTONE:
            await self.on_deleted(event["channel"], message["ts"])
            return
        edited, heard = message.get("edited"), Heard.of(message, channel=event["channel"], team=team)
        if heard is None or heard.is_bot or edited is None or message.get("text") == before.get("text"):
            return
        age_s = float(edited["ts"]) - float(heard.ts)
        await self._edits.take_in(SlackQuestion(self._listener, heard), edited["ts"], age_s=age_s)

    async def on_deleted(self, channel: str, ts: str) -> None:
        """A question takes its answers with it; of our own messages, what they said goes."""
        await self._now_or_later(partial(self._forget_message, names.message_key(channel, ts)))

    async def on_left(self, channel: str) -> None:
        """The bot was removed from a channel, or the channel is gone."""
        await self._now_or_later(partial(self._forget_channel, names.channel_place(channel)))

    async def on_uninstalled(self, team: str) -> None:
        """The bot was removed from the workspace: everything that was said there goes."""
        await self._now_or_later(partial(self._forget_workspace, names.workspace_place(team)))

    async def catch_up(self) -> None:
        """Forget what could not be forgotten when it was told of, and what was deleted while nobody was told.

        The newest messages alone are looked for: each of them costs a look. Raises StoreUnavailable.
        """
        left, self._left = self._left, []
        for forget in left:
            await self._now_or_later(forget)
        since = time.time() - SHOWN_WITHIN_S
        async with self._store.read() as session:
            quoted = filter(names.is_message, await exchanges.quoted_since(session, names.SOURCE, since=since))
        newest = sorted(quoted, key=lambda key: float(names.split_key(key)[1]), reverse=True)
        for key in newest[:MAX_LOOKED_FOR]:
            await self._now_or_later(partial(self._forget_if_gone, key))

    async def _now_or_later(self, forget: Forget) -> None:
        try:
            await forget()
        except PersonasError as error:
            logger.warning(LATER, error)
            self._left.append(forget)
            self._needs_catch_up.set()

    async def _forget_channel(self, place: str) -> None:
        async with self._store.read() as session:
            inside = await places.with_something_kept_inside(session, names.prefix_of(names.THREAD), around=place)
        await self._forgetting.places(place, *(thread for thread, where in inside if where == place))

    async def _forget_workspace(self, place: str) -> None:
        async with self._store.read() as session:
            kept = await places.with_something_kept(session, f"{names.SOURCE}:")
        await self._forgetting.places(place, *kept)

    async def _forget_message(self, key: str) -> None:
        for answer in await self._forgetting.message(key):
            await self._take_away(answer)

    async def _forget_if_gone(self, key: str) -> None:
        if await self._listener.history.is_gone(key):
            await self._forget_message(key)

    async def _take_away(self, key: str) -> None:
        """Delete one of our messages, which shows nothing from now on."""
        await self._deliveries.remove(key)
        with suppress(ScreenGone, ScreenRefused):  # somebody was faster, or Slack does not let us
            await self._identities.screen_on(key, None, "base").remove(key)
