"""Where a reply is shown on Discord: the messages of a channel, of an interaction, of a webhook. Knows no store.

Nothing that goes out here pings anyone or unfolds a link. Where a screen's own way ends, an interaction's token after
15 minutes or a webhook with its deletion, the channel itself takes over.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import discord

from bot.chat.reply_stream import ScreenGone, ScreenRefused
from bot.discord_chat.interaction_replies import fill_in
from bot.discord_chat.places import message_key, split_key
from bot.discord_chat.refusals import INVALID_FORM, NO_HISTORY, WayLost, attempt

PINGS_NOBODY = discord.AllowedMentions.none()
OLD_S = 55 * 60.0  # after an hour Discord lets a channel's messages be edited a few times a minute at most (code 30046)
Fields = dict[str, Any]


def is_old(key: str) -> bool:
    """Whether Discord lets this message be edited but seldom, or is about to."""
    age = discord.utils.utcnow() - discord.utils.snowflake_time(split_key(key)[1])
    return age.total_seconds() > OLD_S


class DiscordScreen(ABC):
    """Implements `bot.chat.reply_stream.Screen`; a message id is a `places.message_key`.

    `header` stands above the first page, and the row of buttons under the last one. `token` is what Discord wants to
    see before it lets the messages be edited, where it does; `thinking` stands for the "thinking…" that Discord shows
    before the first page and that has no id. `moved` says which messages others took the place of, and
    `on_removing` is told of every message that is about to be taken away.
    """

    token: str | None = None
    thinking: str | None = None

    def __init__(self, channel_id: int, *, header: str = "") -> None:
        self.channel_id = channel_id
        self.header = header
        self.row: discord.ui.View | None = None
        self.moved: dict[str, str] = {}
        self.on_removing: Callable[[str], Awaitable[None]] | None = None
        self._pages: list[str] = []
        self._successor: DiscordScreen | None = None

    async def post(self, text: str) -> str:
        """Show a further page. Raises ScreenGone and ScreenRefused, as everything here."""
        await self._clear_last_page()
        key = await self._send(text)
        self._pages.append(key)
        return key

    async def edit(self, message_id: str, text: str) -> None:
        fields: Fields = {"content": text}
        if message_id not in self._pages:  # a page of an earlier reply, which is written anew
            await self._clear_last_page()
            self._pages.append(message_id)
            fields["view"] = self.row
        await self._change(message_id, fields)

    async def remove(self, message_id: str) -> None:
        if self.on_removing is not None:
            await self.on_removing(message_id)
        key = self.moved.get(message_id, message_id)
        try:
            await attempt(lambda: (self._successor or self)._delete_message(key))
        except WayLost:
            self._successor = heir = self._heir()
            await attempt(lambda: heir._delete_message(key))
        self._pages = [page for page in self._pages if page != message_id]

    async def show_row(self, row: discord.ui.View | None) -> None:
        """Put these buttons under the last page, or take them away."""
        self.row = row
        if self._pages:
            await self._change(self._pages[-1], {"view": row})

    @property
    def _row_fields(self) -> Fields:
        """The buttons as discord.py's sending functions take them; it has its own word for none."""
        return {} if self.row is None else {"view": self.row}

    async def _clear_last_page(self) -> None:
        if self._pages and self.row is not None:
            await self._change(self._pages[-1], {"view": None})

    async def _send(self, text: str) -> str:
        if self._successor is None:
            try:
                return await attempt(lambda: self._send_message(text, is_first=not self._pages))
            except WayLost:
                self._successor = self._heir()
        self._successor.row = self.row
        return await self._successor._send(text)

    async def _change(self, message_id: str, fields: Fields) -> None:
        key = self.moved.get(message_id, message_id)
        if self._successor is None:
            try:
                return await attempt(lambda: self._edit_message(key, fields))
            except WayLost:
                self._successor = self._heir()
        successor = self._successor
        try:
            await successor._change(key, fields)
        except (ScreenGone, ScreenRefused):
            if "content" not in fields:
                raise
            successor.row = self.row
            self.moved[message_id] = await successor._send(fields["content"])
            if self.on_removing is not None:
                await self.on_removing(key)
            with suppress(ScreenGone, ScreenRefused):  # what cannot be edited any more may often still be deleted
                await attempt(lambda: successor._delete_message(key))

    @abstractmethod
    async def _send_message(self, text: str, *, is_first: bool) -> str:
        """Send with `row` under it. Raises what discord.py raises."""

    @abstractmethod
    async def _edit_message(self, key: str, fields: Fields) -> None: ...

    @abstractmethod
    async def _delete_message(self, key: str) -> None: ...

    @abstractmethod
    def _heir(self) -> DiscordScreen:
        """Who takes over when this way has ended."""


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
        more = self._row_fields
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

    def _heir(self) -> DiscordScreen:
        raise ScreenGone("The channel can no longer be reached.")


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
            self.thinking = message_key(self.channel_id, interaction.id)

    async def _send_message(self, text: str, *, is_first: bool) -> str:
        self._check_token()
        if is_first and not self._is_component:
            return message_key(self.channel_id, await fill_in(self._interaction, text, self.row))
        message = await self._interaction.followup.send(
            text,
            wait=True,
            ephemeral=self._is_ephemeral,
            allowed_mentions=PINGS_NOBODY,
            suppress_embeds=True,
            **self._row_fields,
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
            raise WayLost

    def _heir(self) -> DiscordScreen:
        if self._is_ephemeral or not self._interaction.is_guild_integration():
            return ChannelScreen(self._interaction.user, self.channel_id)
        client = self._interaction.client
        channel = client.get_partial_messageable(self.channel_id, guild_id=self._interaction.guild_id)
        return ChannelScreen(channel, self.channel_id)


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
            **self._row_fields,
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

    def _heir(self) -> DiscordScreen:
        return ChannelScreen(self._channel, self.channel_id)
