"""Puts the buttons under replies on the bot. Knows none of them from within."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord

from bot.discord_chat import better_answer, reply_control, votes  # noqa: F401 - their import registers their actions
from bot.discord_chat.reply_row import ReplyButton, row
from bot.discord_chat.variants import place_of
from core.jobs import JobStatus
from core.store import exchanges

if TYPE_CHECKING:
    from bot.discord_chat.client import PersonaBot
    from bot.discord_chat.talking import Row
    from core.store.db import Store


async def add_to(bot: PersonaBot) -> None:
    """Let the bot hear presses, however old their messages are."""
    bot.row = row_of(bot.chat.service.store)
    bot.add_dynamic_items(ReplyButton)
    bot.add_listener(better_answer.on_interaction, "on_interaction")


def row_of(store: Store) -> Row:
    """The buttons under a reply, from what the ledger says about it and its variants."""

    async def shown(exchange_id: str, is_running: bool) -> discord.ui.View:
        if is_running:
            return row(exchange_id, is_running=True)
        async with store.read() as session:
            variants, index = place_of(await exchanges.variants(session, exchange_id), exchange_id)
        is_finished = variants[index].status == JobStatus.SUCCEEDED
        return row(exchange_id, is_finished=is_finished, variants=(index, len(variants)))

    return shown
