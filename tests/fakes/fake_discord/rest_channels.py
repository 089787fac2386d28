"""Channels over REST: reading them, typing, threads, DMs, and making webhooks."""

from __future__ import annotations

import secrets

from tests.fakes.fake_discord import board
from tests.fakes.fake_discord.channels import PUBLIC_THREAD, Typing
from tests.fakes.fake_discord.refusals import Refusal, invalid_form, missing_permissions, unknown
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.webhooks import Webhook
from tests.fakes.fake_discord.world import number


@route("GET", "/channels/{channel_id}")
async def read(call: Call) -> Answer:
    return 200, call.world.channel_for_bot(call.ids["channel_id"]).payload()


@route("POST", "/channels/{channel_id}/typing")
async def typing(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if not channel.may(call.world.bot, "send_messages_in_threads" if channel.is_thread else "send_messages"):
        raise missing_permissions()
    channel.typing.append(Typing(call.world.bot, call.world.clock.now()))
    return 204, None


@route("PATCH", "/channels/{channel_id}")
async def edit(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if not channel.may(call.world.bot, "manage_threads" if channel.is_thread else "manage_channels"):
        raise missing_permissions()
    channel.name = call.body.get("name", channel.name)
    channel.archived = call.body.get("archived", channel.archived)
    channel.locked = call.body.get("locked", channel.locked)
    call.world.emit("THREAD_UPDATE" if channel.is_thread else "CHANNEL_UPDATE", channel.payload(), channel=channel)
    return 200, channel.payload()


@route("POST", "/channels/{channel_id}/messages/{message_id}/threads")
async def start_thread_from_message(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    if channel.is_thread or channel.is_dm:
        raise Refusal(400, 50024, "Cannot execute action on this channel type")
    if not channel.may(call.world.bot, "create_public_threads"):
        raise missing_permissions()
    if message.thread is not None:
        raise Refusal(400, 160004, "A thread has already been created for this message")
    return 201, board.start_thread(channel, call.world.bot, call.body["name"], message).payload()


@route("POST", "/channels/{channel_id}/threads")
async def start_thread(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    kind = call.body.get("type") or PUBLIC_THREAD
    if not channel.may(call.world.bot, "create_public_threads" if kind == PUBLIC_THREAD else "create_private_threads"):
        raise missing_permissions()
    return 201, board.start_thread(channel, call.world.bot, call.body["name"], kind=kind).payload()


@route("PUT", "/channels/{channel_id}/thread-members/@me")
async def join_thread(call: Call) -> Answer:
    call.world.channel_for_bot(call.ids["channel_id"]).join(call.world.bot)
    return 204, None


@route("DELETE", "/channels/{channel_id}/thread-members/@me")
async def leave_thread(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if call.world.bot.id in channel.thread_members:
        channel.expel(call.world.bot)
    return 204, None


@route("POST", "/users/@me/channels")
async def open_dm(call: Call) -> Answer:
    user = call.world.users.get(number(str(call.body["recipient_id"])))
    if user is None:
        raise unknown("User")
    if user is call.world.bot:
        raise Refusal(400, 50007, "Cannot send messages to this user")
    return 200, call.world.dm_with(user).payload()


@route("GET", "/channels/{channel_id}/webhooks")
async def webhooks(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if not channel.may(call.world.bot, "manage_webhooks"):
        raise missing_permissions()
    return 200, [hook.payload() for hook in call.world.webhooks.values() if hook.channel is channel]


@route("POST", "/channels/{channel_id}/webhooks")
async def create_webhook(call: Call) -> Answer:
    world = call.world
    channel = world.channel_for_bot(call.ids["channel_id"])
    if channel.is_thread or channel.is_dm:
        raise Refusal(400, 50024, "Cannot execute action on this channel type")
    if not channel.may(world.bot, "manage_webhooks"):
        raise missing_permissions()
    name = call.body["name"]
    check_webhook_name("name", name)
    if sum(hook.channel is channel for hook in world.webhooks.values()) >= 15:
        raise Refusal(400, 30007, "Maximum number of webhooks reached (15)")
    picture = "0" * 32 if call.body.get("avatar") else None
    webhook = Webhook(world.next_id(), secrets.token_urlsafe(48), channel, name, world.bot, picture)
    world.webhooks[webhook.id] = webhook
    webhook.tell()
    return 200, webhook.payload()


def check_webhook_name(field: str, name: str) -> None:
    """Names may not hold "clyde" or "discord"."""
    for word in ("clyde", "discord"):
        if word in name.lower():
            raise invalid_form(field, "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"')
    if not 1 <= len(name) <= 80:
        raise invalid_form(field, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 80 in length.")
