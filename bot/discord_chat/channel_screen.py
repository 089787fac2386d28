"""A reply in the bot's own messages."""

from __future__ import annotations

import secrets
from typing import cast

import discord

from bot.chat.platform import ScreenGone
from bot.discord_chat.calls import INVALID_FORM, NO_HISTORY
from bot.discord_chat.names import message_key, split_key
from bot.discord_chat.screens import PINGS_NOBODY, DiscordScreen, Fields


class ChannelScreen(DiscordScreen):
    """The bot's own messages in a channel, thread or DM; the first answers `question`."""

    def __init__(
        self,
        channel: discord.abc.Messageable,
        channel_id: int,
        *,
        header: str = "",
        question: discord.Message | None = None,
    ) -> None:
        super().__init__(channel_id, header=header)
        self._channel = channel
        self._question = question
        self._nonces: dict[str, int] = {}

    async def _send_message(self, text: str, *, is_first: bool) -> str:
        more = self._button_fields
        if is_first and self._question is not None:
            more["reference"] = self._question.to_reference()
        # The same nonce for every attempt: Discord shows a message once, even if its first answer was lost.
        nonce = self._nonces.setdefault(text, secrets.randbits(63))
        try:
            message = await self._post(text, nonce, more)
        except discord.HTTPException as error:
            if error.code == INVALID_FORM and "message_reference" in error.text:
                raise ScreenGone("The question was deleted.") from error
            if error.code != NO_HISTORY or "reference" not in more:
                raise
            del more["reference"]
            message = await self._post(text, nonce, more)
        del self._nonces[text]
        return message_key(message.channel.id, message.id)

    async def _post(self, text: str, nonce: int, more: Fields) -> discord.Message:
        return await self._channel.send(
            text, allowed_mentions=PINGS_NOBODY, mention_author=False, suppress_embeds=True, nonce=nonce, **more
        )

    async def _edit_message(self, key: str, fields: Fields) -> None:
        await (await self._message(key)).edit(allowed_mentions=PINGS_NOBODY, **fields)

    async def _delete_message(self, key: str) -> None:
        await (await self._message(key)).delete()

    async def _message(self, key: str) -> discord.PartialMessage:
        channel = self._channel
        if isinstance(channel, discord.User | discord.Member):
            channel = channel.dm_channel or await channel.create_dm()
        # Everything else that the bot writes to is a channel, and every channel has this.
        return cast("discord.PartialMessageable", channel).get_partial_message(split_key(key)[1])

    def _make_fallback(self) -> DiscordScreen:
        raise ScreenGone("The channel can no longer be reached.")
