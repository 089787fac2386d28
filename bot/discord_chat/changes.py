"""Edited questions on Discord, told of as events."""

from __future__ import annotations

import discord
from discord.ext import commands as prefix_commands

from bot.chat.edits import Edits
from bot.discord_chat.listener import DiscordQuestion, Listener


class Changes:
    """`listen` puts it on a bot."""

    def __init__(self, edits: Edits, listener: Listener) -> None:
        self._edits = edits
        self._listener = listener

    def listen(self, bot: prefix_commands.AutoShardedBot) -> None:
        bot.add_listener(self.on_raw_message_edit)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        """A person's edit. Discord itself updates messages, too, when it unfolds a link: that is none."""
        message, edited_at = event.message, event.message.edited_at
        if edited_at is None or message.author.bot or message.webhook_id is not None:
            return
        age_s = (edited_at - message.created_at).total_seconds()
        await self._edits.take_in(DiscordQuestion(self._listener, message), edited_at.isoformat(), age_s=age_s)
