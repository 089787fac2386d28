"""⏹ and 🗑: who asked, and who moderates the channel, ends a reply or takes it away with all that is kept of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bot.discord_chat.interaction_replies import tell
from bot.discord_chat.places import SOURCE, user_id
from bot.discord_chat.reply_row import action
from bot.discord_chat.shown import shown_by
from bot.reply_stream import ScreenGone
from core.errors import NotFound, PermissionNeeded
from core.store import data_rights, exchanges

if TYPE_CHECKING:
    from bot.discord_chat.interaction_replies import Interaction
    from core.store.models import Exchange

UNKNOWN = "I do not know this answer any more; who moderates this channel can delete it."
NOT_YOURS = "Only who asked, or who may manage messages here, can {do} this answer."
HAS_ENDED = "This answer has ended already."


@action("stop")
async def stop(interaction: Interaction, exchange_id: str) -> None:
    """What has been written stays."""
    variants = await _variants(interaction, exchange_id)
    askers = {exchange.user_id for exchange in variants if exchange.id in (exchange_id, variants[0].id)}
    _check_may(interaction, askers, "stop")
    if await interaction.client.chat.talking.stop(exchange_id):
        return
    await tell(interaction, HAS_ENDED)
    if interaction.client.row is not None and not interaction.client.chat.talking.is_running(exchange_id):
        variants = await _variants(interaction, exchange_id)  # as they are now that it has ended
        await interaction.edit_original_response(view=interaction.client.row(exchange_id, variants))


@action("delete")
async def take_away(interaction: Interaction, exchange_id: str) -> None:
    """Every page of it, the last one last: as long as something is left, so is the button."""
    variants = await _variants(interaction, exchange_id)
    _check_may(interaction, {variants[0].user_id}, "delete")
    chat = interaction.client.chat
    for variant in variants:
        await chat.talking.stop(variant.id)
        await chat.talking.ended(variant.id)
    shown = await shown_by(interaction, exchange_id)
    screen = await chat.identities.screen_on(interaction, shown.exchange, shown.exchange.model)
    for key in shown.pages_on(screen):
        with suppress(ScreenGone):  # somebody was faster
            await screen.remove(key)
        async with chat.service.store.write() as session:
            await data_rights.forget_delivery(session, SOURCE, key)
    for variant in variants:
        chat.context.forget(variant.id)


async def _variants(interaction: Interaction, exchange_id: str) -> list[Exchange]:
    """Every answer to the same question, the oldest first. Raises NotFound."""
    async with interaction.client.chat.service.store.read() as session:
        found = await exchanges.variants(session, exchange_id)
    if not found:
        raise NotFound(UNKNOWN)
    return found


def _check_may(interaction: Interaction, askers: set[str], do: str) -> None:
    if user_id(interaction.user) not in askers and not interaction.permissions.manage_messages:
        raise PermissionNeeded(NOT_YOURS.format(do=do))
