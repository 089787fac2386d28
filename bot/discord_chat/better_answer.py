"""📝 after a 👎: a form in which a person writes the reply they would rather have read. Knows no votes.

The form is answered by its custom_id alone, so that nobody loses what they wrote to a restart.
"""

from __future__ import annotations

import re
from typing import Any

import discord

from bot.discord_chat.interactions import Interaction

MAX_CHARS = 4_000  # of a text field
FORM = re.compile(r"better:(?P<exchange_id>[\w-]{1,64})")
FIELD = "better"


async def open_form(interaction: Interaction, exchange_id: str) -> None:
    form = discord.ui.Modal(title="A better answer", custom_id=f"better:{exchange_id}")
    field: discord.ui.TextInput[discord.ui.View] = discord.ui.TextInput(
        custom_id=FIELD, style=discord.TextStyle.paragraph, max_length=MAX_CHARS
    )
    form.add_item(discord.ui.Label(text="What should the answer have been?", component=field))
    form.stop()  # not kept by discord.py: `on_interaction` knows it by its custom_id
    await interaction.response.send_modal(form)


def sent_for(interaction: Interaction) -> str | None:
    """The exchange whose form was sent; None for every other interaction."""
    form = FORM.fullmatch(interaction.custom_id or "")
    is_sent = form is not None and interaction.type is discord.InteractionType.modal_submit
    return form["exchange_id"] if form is not None and is_sent else None


def written(interaction: Interaction) -> str:
    """What was typed into the form, whose fields are each wrapped in a label."""
    data: dict[str, Any] = dict(interaction.data or {})
    fields = [part.get("component", part) for part in data["components"]]
    return next((str(field["value"]) for field in fields if field.get("custom_id") == FIELD), "")
