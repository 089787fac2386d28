"""⏹ and 🗑: the person who asked, or who moderates the channel, ends a reply or takes it away with all kept of it."""

from __future__ import annotations

from bot.chat.buttons import buttons_of
from bot.chat.endings import HAS_ENDED
from bot.discord_chat.buttons import view_of
from bot.discord_chat.interactions import Interaction, tell
from bot.discord_chat.names import user_id
from bot.discord_chat.shown_reply import shown_by


async def stop(interaction: Interaction, exchange_id: str) -> None:
    """What has been written stays."""
    endings, may_manage = interaction.client.parts.endings, interaction.permissions.manage_messages
    if await endings.stop(exchange_id, user_id(interaction.user), may_manage=may_manage):
        return
    await tell(interaction, HAS_ENDED)
    if not interaction.client.parts.replies.is_running(exchange_id):
        variants = await endings.variants(exchange_id)  # as they are now that it has ended
        await interaction.edit_original_response(view=view_of(buttons_of(variants, exchange_id)))


async def delete(interaction: Interaction, exchange_id: str) -> None:
    parts, may_manage = interaction.client.parts, interaction.permissions.manage_messages
    variants = await parts.endings.stopped(exchange_id, user_id(interaction.user), may_manage=may_manage)
    reply = await shown_by(interaction, exchange_id)
    screen = await parts.identities.screen_on(interaction, reply.exchange, reply.exchange.model)
    await parts.endings.take_away(screen, reply.pages_on(screen), variants)
