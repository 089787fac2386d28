"""The bot's own webhooks, one for each face in a channel: a persona's name and picture on every message."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import TypeAlias
from weakref import WeakValueDictionary

import discord

from bot.chat.faces import Faces
from bot.chat.platform import ScreenGone
from bot.discord_chat.calls import TOO_MANY_WEBHOOKS, RouteClosed, attempt
from bot.discord_chat.connection import Connection
from core.errors import PermissionNeeded

WithWebhooks: TypeAlias = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel
WITH_WEBHOOKS = (discord.TextChannel, discord.VoiceChannel, discord.StageChannel, discord.ForumChannel)
MAX_REMEMBERED = 1024
FORBIDDEN_NAME = re.compile(r"discord|clyde", re.IGNORECASE)
NO_WEBHOOK = "I cannot show {name}'s own name and picture here: {reason} Until then I answer under my own name."
MANAGE_WEBHOOKS = "I need the permission Manage Webhooks in this channel."


class Webhooks:
    """Finds or makes them, and remembers those used lately."""

    def __init__(self, connection: Connection, faces: Faces) -> None:
        self._connection = connection
        self._faces = faces
        self._known: OrderedDict[tuple[int, str], discord.Webhook] = OrderedDict()  # by channel and name
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def of(self, channel: discord.abc.Messageable, model: str) -> discord.Webhook:
        """The bot's own webhook with this blend's face. Raises PermissionNeeded with the reason why there is none."""
        home = channel.parent if isinstance(channel, discord.Thread) else channel
        name = self._faces.name(model)
        if not isinstance(home, WITH_WEBHOOKS):
            raise _refusal(name, "this kind of channel has no webhooks.")
        if FORBIDDEN_NAME.search(name):
            raise _refusal(name, "Discord does not allow this name.")
        async with self._locks.setdefault(home.id, asyncio.Lock()):
            if found := self._known.get((home.id, name)):
                self._known.move_to_end((home.id, name))
                return found
            try:
                found = await self._find_or_create(home, name, model)
            except discord.Forbidden as error:
                raise _refusal(name, MANAGE_WEBHOOKS) from error
            except discord.HTTPException as error:
                raise _refusal(name, f"Discord refuses another webhook (code {error.code}).") from error
            self._known[home.id, name] = found
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
            return found

    async def by_id(self, webhook_id: int) -> discord.Webhook:
        """The webhook that wrote a message. Raises ScreenGone when it was deleted, and what `attempt` raises."""
        for webhook in self._known.values():
            if webhook.id == webhook_id:
                return webhook
        try:
            return await attempt(lambda: self._connection.client.fetch_webhook(webhook_id))
        except RouteClosed as error:
            raise ScreenGone("The webhook that wrote this was deleted.") from error

    def forget(self, channel_id: int) -> None:
        """The channel's webhooks have changed; look them up again."""
        for key in [key for key in self._known if key[0] == channel_id]:
            del self._known[key]

    async def _find_or_create(self, home: WithWebhooks, name: str, model: str) -> discord.Webhook:
        """A channel holds 15 webhooks; where it is full, one of ours changes its face."""
        own = [
            webhook
            for webhook in await home.webhooks()
            if webhook.user is not None and webhook.user.id == self._connection.own_id and webhook.token
        ]
        for webhook in own:
            if webhook.name == name:
                return webhook
        avatar = await asyncio.to_thread(self._faces.avatar, model)
        try:
            return await home.create_webhook(name=name, avatar=avatar, reason="The persona's own name and picture")
        except discord.HTTPException as error:
            if error.code != TOO_MANY_WEBHOOKS or not own:
                raise
        self.forget(home.id)
        return await own[0].edit(name=name, avatar=avatar)


def _refusal(name: str, reason: str) -> PermissionNeeded:
    return PermissionNeeded(NO_WEBHOOK.format(name=name, reason=reason))
