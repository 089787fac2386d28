"""The bot's own name and picture in a server, which can be those of the persona that the server chose."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from functools import partial
from weakref import WeakValueDictionary

import discord

from bot.chat.faces import Faces
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.discord_chat.calls import attempt
from core.errors import PermissionNeeded
from core.store import places
from core.store.db import Store

MAX_NICK_CHARS = 32
PROFILE_WAIT_S = 2.0  # how long a reply waits for the bot's profile to change
NO_PROFILE = "I cannot put on {name}'s name and picture in this server: {reason} Until then I answer under my own name."
STILL_SET = "I cannot take the persona's name and picture off in this server: {reason}"
CHANGE_NICKNAME = "I need the permission Change Nickname in this server."

logger = logging.getLogger(__name__)


class Profiles:
    """Knows which blend the bot's profile shows in which server; forgotten when the bot leaves it."""

    def __init__(self, store: Store, faces: Faces) -> None:
        self._store = store
        self._faces = faces
        self._shown: dict[int, str] = {}
        self._changing: dict[int, asyncio.Task[None]] = {}
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def shows(self, channel: discord.abc.Messageable, model: str, chosen: str) -> bool:
        """Whether the profile in this channel's server shows `model`. It is set to `chosen`, which the server chose.

        Discord may let a profile change but every few minutes; no reply waits for that. Raises PermissionNeeded with
        the reason why it does not change at all.
        """
        guild = getattr(channel, "guild", None)
        if not isinstance(guild, discord.Guild):
            return False
        changing = self._changing.get(guild.id)
        if changing is None:
            changing = self._changing[guild.id] = asyncio.create_task(self._set(guild, chosen))
            changing.add_done_callback(partial(self._on_changed, guild.id))
        await asyncio.wait({changing}, timeout=PROFILE_WAIT_S)
        if changing.done():
            changing.result()  # raises why it is not shown
        return self._shown.get(guild.id) == model

    async def reset(self, guild: discord.Guild) -> str | None:
        """Give the bot its own name and picture again in a server. Returns the sentence why Discord does not let it."""
        async with self._locks.setdefault(guild.id, asyncio.Lock()):
            self._shown.pop(guild.id, None)
            try:
                await attempt(lambda: guild.me.edit(nick=None, avatar=None))
            except (ScreenGone, ScreenRefused) as error:
                logger.warning("Server %d still shows a persona's name and picture: %s", guild.id, error)
                return STILL_SET.format(reason=error)
        return None

    async def is_chosen_in(self, place_ids: Collection[str]) -> bool:
        """Whether any of these places lets the bot show the server's persona. Raises StoreUnavailable."""
        async with self._store.read() as session:
            return not (await places.with_identity(session, "profile")).isdisjoint(place_ids)

    def forget(self, guild_id: int) -> None:
        """The bot has left this server; if it is ever invited again, it shows its own name."""
        self._shown.pop(guild_id, None)

    def _on_changed(self, guild_id: int, changing: asyncio.Task[None]) -> None:
        """A reply that did not wait so long is not told; the next one tries again."""
        del self._changing[guild_id]
        if not changing.cancelled() and (error := changing.exception()):
            logger.info("The profile in server %d stays as it is: %s", guild_id, error)

    async def _set(self, guild: discord.Guild, model: str) -> None:
        name = self._faces.name(model)
        async with self._locks.setdefault(guild.id, asyncio.Lock()):
            if self._shown.get(guild.id) == model:
                return
            try:
                if guild.me.nick != (nick := name[:MAX_NICK_CHARS]):
                    avatar = await asyncio.to_thread(self._faces.avatar, model)
                    await guild.me.edit(nick=nick, avatar=avatar)
            except discord.Forbidden as error:
                raise PermissionNeeded(NO_PROFILE.format(name=name, reason=CHANGE_NICKNAME)) from error
            except discord.HTTPException as error:
                reason = f"Discord refuses it at the moment (code {error.code})."
                raise PermissionNeeded(NO_PROFILE.format(name=name, reason=reason)) from error
            self._shown[guild.id] = model
