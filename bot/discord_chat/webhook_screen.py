"""A reply in a webhook's messages, under a persona's own name and picture."""

from __future__ import annotations

import discord

from bot.discord_chat.channel_screen import ChannelScreen
from bot.discord_chat.names import message_key, split_key
from bot.discord_chat.screens import PINGS_NOBODY, DiscordScreen, Fields


class WebhookScreen(DiscordScreen):
    """A webhook's messages under a persona's name. Webhooks cannot answer a message, so the reply stands alone."""

    def __init__(
        self,
        webhook: discord.Webhook,
        channel: discord.abc.Messageable,
        channel_id: int,
        *,
        name: str,
    ) -> None:
        super().__init__(channel_id)
        self._webhook = webhook
        self._channel = channel
        self._name = name

    async def _send_message(self, text: str, *, is_first: bool) -> str:
        message = await self._webhook.send(
            text,
            username=self._name,
            wait=True,
            allowed_mentions=PINGS_NOBODY,
            suppress_embeds=True,
            **self._thread,
            **self._button_fields,
        )
        return message_key(self.channel_id, message.id)

    async def _edit_message(self, key: str, fields: Fields) -> None:
        await self._webhook.edit_message(split_key(key)[1], allowed_mentions=PINGS_NOBODY, **self._thread, **fields)

    async def _delete_message(self, key: str) -> None:
        await self._webhook.delete_message(split_key(key)[1], **self._thread)

    @property
    def _thread(self) -> Fields:
        is_home = self.channel_id == self._webhook.channel_id
        return {} if is_home else {"thread": discord.Object(self.channel_id)}

    def _make_fallback(self) -> DiscordScreen:
        return ChannelScreen(self._channel, self.channel_id)
