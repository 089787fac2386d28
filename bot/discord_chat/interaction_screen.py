"""A reply in the answer to a command or a press."""

from __future__ import annotations

from typing import Any

import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from bot.chat.platform import Placeholder
from bot.discord_chat.buttons import view_of
from bot.discord_chat.calls import RouteClosed
from bot.discord_chat.channel_screen import ChannelScreen
from bot.discord_chat.names import message_key, split_key
from bot.discord_chat.screens import PINGS_NOBODY, DiscordScreen, Fields


class InteractionScreen(DiscordScreen):
    """The answer to an interaction that was deferred: its original response, then follow-ups.

    After the token's 15 minutes the bot goes on in the channel; with what only one person sees, and where the bot is no
    member, in a DM.
    """

    def __init__(
        self,
        interaction: discord.Interaction[Any],
        *,
        header: str = "",
        is_ephemeral: bool = False,
    ) -> None:
        super().__init__(interaction.channel_id or 0, header=header)
        self.token = interaction.token
        self._interaction = interaction
        self._is_ephemeral = is_ephemeral
        if not self._is_component:
            self.placeholder = Placeholder(message_key(self.channel_id, interaction.id), interaction.token)

    async def _send_message(self, text: str, *, is_first: bool) -> str:
        self._check_token()
        if is_first and not self._is_component:
            return message_key(self.channel_id, await _fill_in(self._interaction, text, view_of(self.buttons)))
        message = await self._interaction.followup.send(
            text,
            wait=True,
            ephemeral=self._is_ephemeral,
            allowed_mentions=PINGS_NOBODY,
            suppress_embeds=True,
            **self._button_fields,
        )
        return message_key(self.channel_id, message.id)

    async def _edit_message(self, key: str, fields: Fields) -> None:
        self._check_token()
        await self._interaction.followup.edit_message(split_key(key)[1], allowed_mentions=PINGS_NOBODY, **fields)

    async def _delete_message(self, key: str) -> None:
        await self._interaction.followup.delete_message(split_key(key)[1])

    @property
    def _is_component(self) -> bool:
        """Whether a button was pressed: then the original response is the message that has it."""
        return self._interaction.type is discord.InteractionType.component

    def _check_token(self) -> None:
        if self._interaction.is_expired():
            raise RouteClosed

    def _make_fallback(self) -> DiscordScreen:
        if self._is_ephemeral or not self._interaction.is_guild_integration():
            return ChannelScreen(self._interaction.user, self.channel_id)
        client = self._interaction.client
        channel = client.get_partial_messageable(self.channel_id, guild_id=self._interaction.guild_id)
        return ChannelScreen(channel, self.channel_id)


async def _fill_in(interaction: discord.Interaction[Any], text: str, view: discord.ui.View | None) -> int:
    """Answer in place of "thinking…", with no link unfolded. Returns the message's id; raises what discord.py raises.

    Discord takes that wish with the answer alone, not with the "thinking…" before, and discord.py's own
    `edit_original_response` knows no flags.
    """
    way = interaction.followup
    with handle_message_parameters(
        content=text,
        view=view,
        flags=discord.MessageFlags(suppress_embeds=True),
        allowed_mentions=discord.AllowedMentions.none(),
    ) as form:
        shown = await async_context.get().edit_original_interaction_response(
            way.id,
            interaction.token,
            session=way.session,
            proxy=way.proxy,
            proxy_auth=way.proxy_auth,
            payload=form.payload,
        )
    return int(shown["id"])
