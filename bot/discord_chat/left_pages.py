"""A message that shows a page of a reply, long after its screen is gone: how Discord still lets it be changed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import discord

from bot.chat.platform import NOT_POSTED
from bot.discord_chat.calls import is_passing
from bot.discord_chat.names import message_key, split_key
from bot.discord_chat.screens import PINGS_NOBODY
from bot.discord_chat.wording import has_header
from core.store.models import Delivery

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftPage:
    """What one message shows. `edit` takes what discord.py's does, and `post` adds a message of the same kind.

    `has_header` says whether who speaks stands above the words, and `is_running` whether ⏹ stands below them.
    """

    key: str
    content: str
    has_header: bool
    is_running: bool
    edit: Callable[..., Awaitable[object]]
    post: Callable[..., Awaitable[discord.Message]]


async def reach(client: discord.Client, page: Delivery, header: str) -> LeftPage:
    """Find the message of this page, above which `header` may stand. Raises what discord.py raises."""
    channel_id, message_id = split_key(page.message_id)
    if page.token is not None:
        try:
            return await _by_token(client, page, page.token)
        except discord.HTTPException as error:  # after 15 minutes the token is worth nothing
            if is_passing(error):
                raise
            logger.debug("The token of %s is over: %s", page.message_id, error)
    channel = client.get_partial_messageable(channel_id)
    message = await channel.fetch_message(message_id)
    if message.webhook_id is None:
        edit = partial(message.edit, allowed_mentions=PINGS_NOBODY)
        post = partial(channel.send, allowed_mentions=PINGS_NOBODY, suppress_embeds=True)
        is_headed, is_running = has_header(message.content, header), _is_running(message)
        return LeftPage(page.message_id, message.content, is_headed, is_running, edit, post)
    webhook = await client.fetch_webhook(message.webhook_id)
    thread = discord.utils.MISSING if webhook.channel_id == channel_id else discord.Object(channel_id)
    return LeftPage(
        page.message_id,
        message.content,
        has_header=False,
        is_running=_is_running(message),
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


async def _by_token(client: discord.Client, page: Delivery, token: str) -> LeftPage:
    application_id = cast(int, client.application_id)  # known since the login
    webhook = discord.Webhook.partial(application_id, token, client=client)
    webhook.type = discord.WebhookType.application  # only such a one may post what only one person sees
    channel_id, message_id = split_key(page.message_id)
    target = cast(int, "@original") if page.position == NOT_POSTED else message_id
    message = await webhook.fetch_message(target)
    return LeftPage(
        message_key(channel_id, message.id),
        message.content,
        has_header=True,
        is_running=_is_running(message),
        edit=partial(webhook.edit_message, target, allowed_mentions=PINGS_NOBODY),
        post=partial(
            webhook.send,
            wait=True,
            ephemeral=message.flags.ephemeral,
            allowed_mentions=PINGS_NOBODY,
            suppress_embeds=True,
        ),
    )


def button_ids(message: discord.Message) -> list[str]:
    """The custom_ids of a message's buttons."""
    buttons = [part for row in message.components if isinstance(row, discord.ActionRow) for part in row.children]
    return [button.custom_id or "" for button in buttons]


def _is_running(message: discord.Message) -> bool:
    return any(custom_id.startswith("reply:stop:") for custom_id in button_ids(message))
