"""The messages that show replies of earlier runs on Discord, as `bot.chat.mending` asks for them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, cast

import discord

from bot.chat.buttons import ReplyButtons
from bot.chat.mending import LeftPage
from bot.chat.platform import NOT_POSTED, ScreenRefused
from bot.discord_chat.buttons import view_of
from bot.discord_chat.calls import RouteClosed, attempt, is_passing
from bot.discord_chat.connection import Connection
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.names import message_key, split_key
from bot.discord_chat.screens import PINGS_NOBODY
from bot.discord_chat.wording import has_header
from core.store.models import Delivery, Exchange

LOOKED_THROUGH = 25  # messages after the question

T = TypeVar("T")
logger = logging.getLogger(__name__)


class LeftPages:
    """Implements `bot.chat.mending.LeftPages`."""

    def __init__(self, connection: Connection, history: History, identities: Identities) -> None:
        self._connection = connection
        self._history = history
        self._identities = identities

    async def reach(self, page: Delivery, model: str) -> LeftPage:
        header = self._identities.header(model)
        return await _open(lambda: _reach(self._connection.client, page, header))

    async def remove(self, page: Delivery) -> None:
        channel_id, message_id = split_key(page.message_id)
        channel = self._connection.client.get_partial_messageable(channel_id)
        await _open(lambda: channel.get_partial_message(message_id).delete())

    async def find(self, exchange: Exchange) -> str | None:
        """Its buttons name it."""
        channel_id, question_id = split_key(exchange.question_id or "")
        channel = self._connection.client.get_partial_messageable(channel_id)

        async def read() -> list[discord.Message]:
            question = discord.Object(question_id)
            return [message async for message in channel.history(after=question, limit=LOOKED_THROUGH)]

        for message in await _open(read):
            names_it = any(exchange.id in custom_id.split(":") for custom_id in _button_ids(message))
            if names_it and self._history.is_own(message):
                return message_key(channel_id, message.id)
        return None


async def _open(call: Callable[[], Awaitable[T]]) -> T:
    """Raises ScreenRefused where the way to a message is closed for good, as `attempt` does for all else."""
    try:
        return await attempt(call)
    except RouteClosed as error:
        raise ScreenRefused("The interaction or the webhook of this message is over.") from error


async def _reach(client: discord.Client, page: Delivery, header: str) -> LeftPage:
    """Find the message of this page, above which `header` may stand. Raises what discord.py raises."""
    channel_id, message_id = split_key(page.message_id)
    if page.token is not None:
        try:
            return await _by_token(client, page, page.token, header)
        except discord.HTTPException as error:  # after 15 minutes the token is worth nothing
            if is_passing(error):
                raise
            logger.debug("The token of %s is over: %s", page.message_id, error)
    channel = client.get_partial_messageable(channel_id)
    message = await channel.fetch_message(message_id)
    if message.webhook_id is None:
        edit = partial(message.edit, allowed_mentions=PINGS_NOBODY)
        post = partial(channel.send, allowed_mentions=PINGS_NOBODY, suppress_embeds=True)
        return _page(page.message_id, message, header if has_header(message.content, header) else "", edit, post)
    webhook = await client.fetch_webhook(message.webhook_id)
    thread = discord.utils.MISSING if webhook.channel_id == channel_id else discord.Object(channel_id)
    return _page(
        page.message_id,
        message,
        "",
        edit=partial(webhook.edit_message, message_id, allowed_mentions=PINGS_NOBODY, thread=thread),
        post=partial(
            webhook.send,
            username=message.author.name,
            wait=True,
            allowed_mentions=PINGS_NOBODY,
            suppress_embeds=True,
            thread=thread,
        ),
    )


async def _by_token(client: discord.Client, page: Delivery, token: str, header: str) -> LeftPage:
    application_id = cast(int, client.application_id)  # known since the login
    webhook = discord.Webhook.partial(application_id, token, client=client)
    webhook.type = discord.WebhookType.application  # only such a one may post what only one person sees
    channel_id, message_id = split_key(page.message_id)
    target = cast(int, "@original") if page.position == NOT_POSTED else message_id
    message = await webhook.fetch_message(target)
    return _page(
        message_key(channel_id, message.id),
        message,
        header,
        edit=partial(webhook.edit_message, target, allowed_mentions=PINGS_NOBODY),
        post=partial(
            webhook.send,
            wait=True,
            ephemeral=message.flags.ephemeral,
            allowed_mentions=PINGS_NOBODY,
            suppress_embeds=True,
        ),
    )


def _page(
    key: str,
    message: discord.Message,
    header: str,
    edit: Callable[..., Awaitable[object]],
    post: Callable[..., Awaitable[discord.Message]],
) -> LeftPage:
    """`edit` takes what discord.py's does, and `post` adds a message of the same kind."""

    async def change(text: str | None, buttons: ReplyButtons | None) -> None:
        fields = {} if text is None else {"content": text}
        await _open(partial(edit, **fields, view=view_of(buttons)))

    async def add(text: str, buttons: ReplyButtons | None) -> str:
        fields = {} if buttons is None else {"view": view_of(buttons)}
        return message_key(split_key(key)[0], (await _open(partial(post, content=text, **fields))).id)

    is_running = any(custom_id.startswith("reply:stop:") for custom_id in _button_ids(message))
    return LeftPage(key, header, message.content, is_running, change, add)


def _button_ids(message: discord.Message) -> list[str]:
    """The custom_ids of a message's buttons."""
    buttons = [part for row in message.components if isinstance(row, discord.ActionRow) for part in row.children]
    return [button.custom_id or "" for button in buttons]
