"""Messages of channels over REST: post, read, edit, delete, react."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_discord import board
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.message_form import (
    attachments,
    check_message,
    completed_components,
    completed_embeds,
    kept_attachments,
)
from tests.fakes.fake_discord.messages import LOADING, Message
from tests.fakes.fake_discord.refusals import Refusal, invalid_form, missing_access, missing_permissions
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.world import number


def changes_of(call: Call, body: dict[str, Any], message: Message | None = None) -> dict[str, Any]:
    """What a body makes of a message, checked: content, embeds, components, attachments, flags."""
    standing = kept_attachments(body, message.attachments if message else [])
    files = standing + attachments(call, body)
    flags = body.get("flags") if body.get("flags") is not None else (message.flags & ~LOADING if message else 0)
    left = message is not None and _left_standing(message, body)
    check_message(body, flags or 0, bool(files) or left or bool(body.get("poll")))
    changes: dict[str, Any] = {"attachments": files, "flags": flags or 0}
    if "content" in body:
        changes["content"] = body["content"] or ""
    if "embeds" in body:
        changes["embeds"] = completed_embeds(body["embeds"])
    if "components" in body:
        changes["components"] = completed_components(body["components"])
    return changes


def _left_standing(message: Message, body: dict[str, Any]) -> bool:
    return any(getattr(message, name) and name not in body for name in ("content", "embeds", "components"))


def _check_may_send(call: Call, channel: Channel) -> None:
    bot = call.world.bot
    if channel.is_dm and not all(user.dms_open for user in channel.recipients):
        raise Refusal(403, 50007, "Cannot send messages to this user")
    if not channel.may(bot, "send_messages_in_threads" if channel.is_thread else "send_messages"):
        raise missing_permissions()
    if channel.is_thread and channel.archived and channel.locked:
        raise Refusal(400, 50083, "Thread is archived")


def _replied_to(call: Call, channel: Channel, body: dict[str, Any]) -> Message | None:
    reference = body.get("message_reference")
    if reference is None:
        return None
    found = call.world.messages.get(number(str(reference["message_id"])))
    if found is not None and found.channel is channel and not found.deleted and not found.ephemeral:
        if not channel.may(call.world.bot, "read_message_history"):
            raise Refusal(403, 160002, "You cannot reply without permission to read message history")
        return found
    if reference.get("fail_if_not_exists", True):
        raise invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    return None


@route("POST", "/channels/{channel_id}/messages")
async def create(call: Call) -> Answer:
    world, body = call.world, call.body or {}
    channel = world.channel_for_bot(call.ids["channel_id"])
    _check_may_send(call, channel)
    nonce = None if body.get("nonce") is None else str(body["nonce"])
    if nonce is not None and body.get("enforce_nonce") and (channel.id, nonce) in world.nonces:
        return 200, world.nonces[channel.id, nonce].payload()
    changes = changes_of(call, body)
    if (changes["attachments"] and not channel.may(world.bot, "attach_files")) or (
        body.get("embeds") and not channel.may(world.bot, "embed_links")
    ):
        raise missing_permissions()
    reply_to = _replied_to(call, channel, body)
    content = changes.pop("content", "")
    message = board.post(
        channel, world.bot, content, body.get("allowed_mentions"), reply_to=reply_to, nonce=nonce, **changes
    )
    if nonce is not None:
        world.nonces[channel.id, nonce] = message
    return 200, message.payload()


@route("GET", "/channels/{channel_id}/messages")
async def history(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if not channel.may(call.world.bot, "read_message_history"):
        return 200, []
    limit = int(call.query.get("limit", "50"))
    if not 1 <= limit <= 100:
        raise invalid_form("limit", "NUMBER_TYPE_MAX", "int value should be less than or equal to 100.")
    found = sorted(channel.messages, key=lambda message: message.id)
    if "before" in call.query:
        found = [message for message in found if message.id < int(call.query["before"])][-limit:]
    elif "after" in call.query:
        found = [message for message in found if message.id > int(call.query["after"])][:limit]
    elif "around" in call.query:
        middle = int(call.query["around"])
        before = [message for message in found if message.id < middle][-(limit // 2) :]
        found = before + [message for message in found if message.id >= middle][: limit - len(before)]
    else:
        found = found[-limit:]
    reads = call.world.application.message_content
    return 200, [message.payload(reads) for message in reversed(found)]


@route("GET", "/channels/{channel_id}/messages/{message_id}")
async def read(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if not channel.may(call.world.bot, "read_message_history"):
        raise missing_access()
    message = call.world.message_in(channel, call.ids["message_id"])
    return 200, message.payload(call.world.application.message_content)


@route("PATCH", "/channels/{channel_id}/messages/{message_id}")
async def edit(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    if message.author is not call.world.bot:
        raise Refusal(403, 50005, "Cannot edit a message authored by another user")
    call.world.old_edits.take(message)
    body = call.body or {}
    board.edit(message, body.get("allowed_mentions"), **changes_of(call, body, message))
    return 200, message.payload()


@route("DELETE", "/channels/{channel_id}/messages/{message_id}")
async def delete(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    if message.author is not call.world.bot:
        if channel.is_dm:
            raise Refusal(403, 50003, "Cannot execute action on a DM channel")
        if not channel.may(call.world.bot, "manage_messages"):
            raise missing_permissions()
    board.delete(message)
    return 204, None


@route("POST", "/channels/{channel_id}/messages/bulk-delete")
async def delete_many(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    if not channel.may(call.world.bot, "manage_messages"):
        raise missing_permissions()
    wanted = {number(str(one)) for one in call.body["messages"]}
    found = [message for message in channel.messages if message.id in wanted]
    if found:
        board.delete_many(found)
    return 204, None


@route("GET", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}")
async def reactors(call: Call) -> Answer:
    """Who reacted with an emoji, by their ids; `type` 1 are the super-reactions."""
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    after = int(call.query.get("after", "0"))
    reactions = message.super_reactions if call.query.get("type") == "1" else message.reactions
    who = sorted(reactions.get(call.ids["emoji_name"], []), key=lambda user: user.id)
    found = [user.payload() for user in who if user.id > after]
    return 200, found[: int(call.query.get("limit", "25"))]


@route("PUT", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me")
async def react(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    emoji = call.ids["emoji_name"]
    if emoji.isascii() and ":" not in emoji:
        raise Refusal(400, 10014, "Unknown Emoji")
    if not channel.may(call.world.bot, "read_message_history"):
        raise missing_permissions()
    if emoji not in message.reactions and not channel.may(call.world.bot, "add_reactions"):
        raise missing_permissions()
    board.react(message, call.world.bot, emoji)
    return 204, None


@route("DELETE", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me")
async def unreact(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    board.unreact(message, call.world.bot, call.ids["emoji_name"])
    return 204, None


@route("DELETE", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}")
async def unreact_other(call: Call) -> Answer:
    channel = call.world.channel_for_bot(call.ids["channel_id"])
    message = call.world.message_in(channel, call.ids["message_id"])
    if not channel.may(call.world.bot, "manage_messages"):
        raise missing_permissions()
    board.unreact(message, call.world.users[number(call.ids["user_id"])], call.ids["emoji_name"])
    return 204, None
