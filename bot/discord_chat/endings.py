"""⏹ and 🗑: the person who asked, or who moderates the channel, ends a reply or takes it away with all kept of it."""

from __future__ import annotations

from contextlib import suppress

from bot.chat.buttons import buttons_of
from bot.chat.platform import ScreenGone
from bot.discord_chat.buttons import view_of
from bot.discord_chat.interactions import Interaction, tell
from bot.discord_chat.names import SOURCE, user_id
from bot.discord_chat.shown_reply import shown_by
from core.errors import NotFound, PermissionNeeded
from core.store import data_rights, exchanges
from core.store.models import Exchange

UNKNOWN = "I do not know this answer any more; who moderates this channel can delete it."
NOT_YOURS = "Only who asked, or who may manage messages here, can {do} this answer."
HAS_ENDED = "This answer has ended already."


async def stop(interaction: Interaction, exchange_id: str) -> None:
    """What has been written stays."""
    variants = await _variants(interaction, exchange_id)
    askers = {exchange.user_id for exchange in variants if exchange.id in (exchange_id, variants[0].id)}
    _check_may(interaction, askers, "stop")
    replies = interaction.client.parts.replies
    if await replies.stop(exchange_id):
        return
    await tell(interaction, HAS_ENDED)
    if not replies.is_running(exchange_id):
        variants = await _variants(interaction, exchange_id)  # as they are now that it has ended
        await interaction.edit_original_response(view=view_of(buttons_of(variants, exchange_id)))


async def delete(interaction: Interaction, exchange_id: str) -> None:
    """Every page of it, the last one last: as long as something is left, so is the button."""
    variants = await _variants(interaction, exchange_id)
    _check_may(interaction, {variants[0].user_id}, "delete")
    parts = interaction.client.parts
    for variant in variants:
        await parts.replies.stop(variant.id)
        await parts.replies.ended(variant.id)
    reply = await shown_by(interaction, exchange_id)
    screen = await parts.identities.screen_on(interaction, reply.exchange, reply.exchange.model)
    for key in reply.pages_on(screen):
        with suppress(ScreenGone):  # somebody was faster
            await screen.remove(key)
        async with parts.store.write() as session:
            await data_rights.forget_delivery(session, SOURCE, key)
    for variant in variants:
        parts.memory.forget(variant.id)


async def _variants(interaction: Interaction, exchange_id: str) -> list[Exchange]:
    """Every answer to the same question, the oldest first. Raises NotFound."""
    async with interaction.client.parts.store.read() as session:
        found = await exchanges.variants(session, exchange_id)
    if not found:
        raise NotFound(UNKNOWN)
    return found


def _check_may(interaction: Interaction, askers: set[str], do: str) -> None:
    if user_id(interaction.user) not in askers and not interaction.permissions.manage_messages:
        raise PermissionNeeded(NOT_YOURS.format(do=do))
