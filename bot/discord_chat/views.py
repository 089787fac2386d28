"""Puts the buttons under replies on the bot. Knows none of them from within."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord

from bot.discord_chat import better_answer, reply_control, votes  # noqa: F401 - their import registers their actions
from bot.discord_chat.reply_row import ReplyButton, row
from bot.discord_chat.variants import place_of
from core.jobs import JobStatus

if TYPE_CHECKING:
    from bot.discord_chat.client import PersonaBot
    from core.store.models import Exchange


async def add_to(bot: PersonaBot) -> None:
    """Let the bot hear presses, however old their messages are."""
    bot.row = buttons
    bot.add_dynamic_items(ReplyButton)
    bot.add_listener(better_answer.on_interaction, "on_interaction")


def buttons(exchange_id: str, variants: Sequence[Exchange]) -> discord.ui.View:
    """What stands under a reply, from what the ledger says about it and its variants."""
    if not variants:
        return row(exchange_id, is_running=True)
    found, index = place_of(variants, exchange_id)
    is_finished = found[index].status == JobStatus.SUCCEEDED
    return row(exchange_id, is_finished=is_finished, variants=(index, len(found)))
