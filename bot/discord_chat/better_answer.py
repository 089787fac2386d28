"""📝 after a 👎: a form in which a person writes the reply they would rather have read. Knows no votes.

Their text is kept only where they have agreed to that and, in a server, its administrators have, too. The form is
answered by its custom_id alone, so that nobody loses what they wrote to a restart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import discord
from sqlalchemy.ext.asyncio import AsyncSession

from bot.discord_chat.interaction_replies import failures_told, places_here, tell
from bot.discord_chat.places import SOURCE, is_in_guild, user_id
from bot.discord_chat.reply_row import WRITE, ReplyButton, acknowledge, action
from core.errors import PermissionNeeded
from core.store import consent, corrections, places

if TYPE_CHECKING:
    from bot.discord_chat.interaction_replies import Interaction

MAX_CHARS = 4_000  # of a text field
FORM = re.compile(r"better:(?P<exchange_id>[\w-]{1,64})")
FIELD = "better"
INVITATION = "What should it have said instead?"
NEEDS_CONSENT = (
    "You could write a better answer if you allowed me to keep words of yours: see `/consent`, then press 👎 again."
)
NEEDS_SERVER = (
    "Better answers cannot be written here: who manages this server has not allowed me to keep words (`/settings`)."
)
KEPT = "📝 Noted, thank you. `/mydata` shows it, `/forget` erases it."


async def invitation(interaction: Interaction, exchange_id: str) -> tuple[str, ReplyButton | None]:
    """What to say after a 👎, and the button that opens the form; without it where the text could not be kept."""
    async with interaction.client.chat.service.store.read() as session:
        obstacle = await _obstacle(session, interaction)
    if obstacle is not None:
        return obstacle, None
    return INVITATION, ReplyButton("better", exchange_id, emoji=WRITE, label="Write a better answer")


@action("better", is_acknowledged=False)
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
    """Raises PermissionNeeded where the text may not be kept, and what `corrections.add` raises."""
    async with interaction.client.chat.service.store.write() as session:
        obstacle = await _obstacle(session, interaction)
        if obstacle is not None:
            raise PermissionNeeded(obstacle)
        await corrections.add(
            session,
            exchange_id=exchange_id,
            user_id=user_id(interaction.user),
            text=_written(interaction),
            source=SOURCE,
        )
    await tell(interaction, KEPT)


async def _obstacle(session: AsyncSession, interaction: Interaction) -> str | None:
    """Why a better answer of this person could not be kept here, and what to do about it."""
    if not await consent.all_have(session, (user_id(interaction.user),)):
        return NEEDS_CONSENT
    here = places_here(interaction)
    if is_in_guild(here) and not (await places.settings_of(session, *here)).is_text_kept:
        return NEEDS_SERVER
    return None


def _written(interaction: Interaction) -> str:
    """What was typed into the form, whose fields are each wrapped in a label."""
    data: dict[str, Any] = dict(interaction.data or {})
    fields = [part.get("component", part) for part in data["components"]]
    return next((str(field["value"]) for field in fields if field.get("custom_id") == FIELD), "")
