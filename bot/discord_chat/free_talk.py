"""Where every message is answered, without a mention: free-talk channels, and threads that the bot is part of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord

from core.store import places

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat


class FreeTalk:
    """Remembers what places chose, for every message of every server asks for it."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._chosen: dict[tuple[str, ...], bool | None] = {}

    async def is_on(self, channel: object, place_ids: Sequence[str]) -> bool:
        """Whether this channel needs no mention; `place_ids` are it and what is around it.

        A thread that chose nothing itself needs none while the bot is a member.
        """
        if not self._chat.has_message_content:
            return False
        if isinstance(channel, discord.Thread):
            is_member = channel.me is not None  # as it is now: the next message may be what brings the bot in
            chosen = await self._of(place_ids[0])
            return is_member if chosen is None else chosen
        return bool(await self._of(*place_ids))

    def forget(self) -> None:
        """What places chose has changed; look it up again. A look-up under way ends in the former dict."""
        self._chosen = {}

    async def _of(self, *place_ids: str) -> bool | None:
        chosen = self._chosen
        if place_ids not in chosen:
            async with self._chat.service.store.read() as session:
                chosen[place_ids] = await places.free_talk_of(session, *place_ids)
        return chosen[place_ids]
