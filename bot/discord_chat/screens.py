"""Where a reply is shown on Discord: the messages of a channel, of an interaction, or of a webhook. Knows no store.

Nothing that goes out here pings anyone or unfolds a link. Where a screen's own way is closed, because an interaction's
token ends after 15 minutes or a webhook was deleted, the channel itself takes over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import discord

from bot.chat.buttons import ReplyButtons
from bot.chat.platform import Placeholder, ScreenGone, ScreenRefused
from bot.discord_chat.buttons import view_of
from bot.discord_chat.calls import RouteClosed, attempt
from bot.discord_chat.names import split_key

PINGS_NOBODY = discord.AllowedMentions.none()
OLD_S = 55 * 60.0  # after an hour Discord lets a channel's messages be edited a few times a minute at most (code 30046)
Fields = dict[str, Any]


class DiscordScreen(ABC):
    """Implements `bot.chat.platform.ReplyScreen`; a message id is a `names.message_key`."""

    token: str | None = None
    placeholder: Placeholder | None = None

    def __init__(self, channel_id: int, *, header: str = "") -> None:
        self.channel_id = channel_id
        self.header = header
        self.buttons: ReplyButtons | None = None
        self.moved: dict[str, str] = {}
        self.added: tuple[str, ...] = ()  # Discord lets every message be changed
        self.on_removing: Callable[[str], Awaitable[None]] | None = None
        self._pages: list[str] = []
        self._fallback: DiscordScreen | None = None  # where the messages go once this screen's own way is closed

    @property
    def channel_key(self) -> str:
        return str(self.channel_id)

    def is_seldom_edited(self, message_id: str) -> bool:
        age = discord.utils.utcnow() - discord.utils.snowflake_time(split_key(message_id)[1])
        return age.total_seconds() > OLD_S

    async def post(self, text: str) -> str:
        """Show a further page. Raises ScreenGone and ScreenRefused, as everything here."""
        await self._clear_last_page()
        key = await self._send(text)
        self._pages.append(key)
        return key

    async def edit(self, message_id: str, text: str) -> None:
        fields: Fields = {"content": text}
        if message_id not in self._pages:  # a page of an earlier reply, which is rewritten
            await self._clear_last_page()
            self._pages.append(message_id)
            fields["view"] = view_of(self.buttons)
        await self._change(message_id, fields)

    async def remove(self, message_id: str) -> None:
        if self.on_removing is not None:
            await self.on_removing(message_id)
        key = self.moved.get(message_id, message_id)
        try:
            await attempt(lambda: (self._fallback or self)._delete_message(key))
        except RouteClosed:
            self._fallback = fallback = self._make_fallback()
            await attempt(lambda: fallback._delete_message(key))
        self._pages = [page for page in self._pages if page != message_id]

    async def show_waiting(self, _line: str) -> bool:
        return False

    async def show_buttons(self, buttons: ReplyButtons | None) -> None:
        self.buttons = buttons
        if self._pages:
            await self._change(self._pages[-1], {"view": view_of(buttons)})

    @property
    def _button_fields(self) -> Fields:
        """The buttons as discord.py's sending functions take them; it has its own word for none."""
        view = view_of(self.buttons)
        return {} if view is None else {"view": view}

    async def _clear_last_page(self) -> None:
        if self._pages and self.buttons is not None:
            await self._change(self._pages[-1], {"view": None})

    async def _send(self, text: str) -> str:
        if self._fallback is None:
            try:
                return await attempt(lambda: self._send_message(text, is_first=not self._pages))
            except RouteClosed:
                self._fallback = self._make_fallback()
        self._fallback.buttons = self.buttons
        return await self._fallback._send(text)

    async def _change(self, message_id: str, fields: Fields) -> None:
        key = self.moved.get(message_id, message_id)
        if self._fallback is None:
            try:
                return await attempt(lambda: self._edit_message(key, fields))
            except RouteClosed:
                self._fallback = self._make_fallback()
        fallback = self._fallback
        try:
            await fallback._change(key, fields)
        except (ScreenGone, ScreenRefused):
            if "content" not in fields:
                raise
            fallback.buttons = self.buttons
            self.moved[message_id] = await fallback._send(fields["content"])
            if self.on_removing is not None:
                await self.on_removing(key)
            with suppress(ScreenGone, ScreenRefused):  # what cannot be edited any more may often still be deleted
                await attempt(lambda: fallback._delete_message(key))

    @abstractmethod
    async def _send_message(self, text: str, *, is_first: bool) -> str:
        """Send with `buttons` under it. Raises what discord.py raises."""

    @abstractmethod
    async def _edit_message(self, key: str, fields: Fields) -> None: ...

    @abstractmethod
    async def _delete_message(self, key: str) -> None: ...

    @abstractmethod
    def _make_fallback(self) -> DiscordScreen:
        """The screen that takes over when this one's own way is closed."""
