"""📝 after a 👎: a form in which a person writes the reply they would rather have read. Knows no votes.

Their text is kept only where they have agreed to that and, in a server, its administrators have, too. The form is
answered by its custom_id alone, so that nobody loses what they wrote to a restart.
"""

from __future__ import annotations

import re
from typing import Any

import discord

from bot.chat.judging import INVITATION, KEPT, NEEDED
from bot.discord_chat.buttons import WRITE, Button, reply_button
from bot.discord_chat.connection import CAPABILITIES
from bot.discord_chat.interactions import Interaction, acknowledge, failures_told, places_here, tell
from bot.discord_chat.names import is_in_guild, user_id
from core.errors import PermissionNeeded

MAX_CHARS = 4_000  # of a text field
FORM = re.compile(r"better:(?P<exchange_id>[\w-]{1,64})")
FIELD = "better"


async def invitation(interaction: Interaction, exchange_id: str) -> tuple[str, Button | None]:
    """What to say after a 👎, and the button that opens the form; without it where the text could not be kept."""
    here = places_here(interaction)
    obstacle = await interaction.client.parts.judging.obstacle_to_better_answer(
        user_id(interaction.user), here, needs_permission=is_in_guild(here)
    )
    if obstacle is not None:
        return NEEDED[obstacle].format(place=CAPABILITIES.wide_place), None
    return INVITATION, reply_button("better", exchange_id, emoji=WRITE, label="Write a better answer")


async def open_form(interaction: Interaction, exchange_id: str) -> None:
    form = discord.ui.Modal(title="A better answer", custom_id=f"better:{exchange_id}")
    field: discord.ui.TextInput[discord.ui.View] = discord.ui.TextInput(
        custom_id=FIELD, style=discord.TextStyle.paragraph, max_length=MAX_CHARS
    )
    form.add_item(discord.ui.Label(text="What should the answer have been?", component=field))
    form.stop()  # not kept by discord.py: `on_interaction` knows it by its custom_id
    await interaction.response.send_modal(form)


async def on_interaction(interaction: Interaction) -> None:
    """Take in a form that was sent; every other interaction is left alone."""
    form = FORM.fullmatch(interaction.custom_id or "")
    if form is None or interaction.type is not discord.InteractionType.modal_submit:
        return
    async with failures_told(interaction):
        if await acknowledge(interaction):
            await _keep(interaction, form["exchange_id"])


async def _keep(interaction: Interaction, exchange_id: str) -> None:
    """Raises PermissionNeeded where the text may not be kept, and InvalidInput for an empty one."""
    here = places_here(interaction)
    obstacle = await interaction.client.parts.judging.keep_better_answer(
        exchange_id, user_id(interaction.user), _written(interaction), here, needs_permission=is_in_guild(here)
    )
    if obstacle is not None:
        raise PermissionNeeded(NEEDED[obstacle].format(place=CAPABILITIES.wide_place))
    await tell(interaction, KEPT)


def _written(interaction: Interaction) -> str:
    """What was typed into the form, whose fields are each wrapped in a label."""
    data: dict[str, Any] = dict(interaction.data or {})
    fields = [part.get("component", part) for part in data["components"]]
    return next((str(field["value"]) for field in fields if field.get("custom_id") == FIELD), "")
