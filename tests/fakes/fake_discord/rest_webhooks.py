"""Webhooks over REST: those of channels, and the routes that interactions' tokens share with them."""

from __future__ import annotations

from tests.fakes.fake_discord import board, rest_interactions
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.refusals import invalid_form, invalid_webhook_token, missing_permissions, unknown
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.rest_channels import check_webhook_name
from tests.fakes.fake_discord.rest_messages import changes_of
from tests.fakes.fake_discord.webhooks import Webhook
from tests.fakes.fake_discord.world import number

WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"


def _webhook(call: Call) -> Webhook:
    webhook = call.world.webhooks.get(number(call.ids["webhook_id"]))
    if webhook is None:
        raise unknown("Webhook")
    if "webhook_token" not in call.ids:
        if not webhook.channel.may(call.world.bot, "manage_webhooks"):
            raise missing_permissions()
    elif call.ids["webhook_token"] != webhook.token:
        raise invalid_webhook_token()
    return webhook


def _message(call: Call, webhook: Webhook) -> Message:
    message = call.world.messages.get(number(call.ids["message_id"]))
    there = call.world.channels.get(number(call.query["thread_id"])) if "thread_id" in call.query else webhook.channel
    if message is None or message.deleted or message.webhook is not webhook or message.channel is not there:
        raise unknown("Message")
    return message


@route("GET", "/webhooks/{webhook_id}")
async def read(call: Call) -> Answer:
    return 200, _webhook(call).payload()


@route("GET", WEBHOOK)
async def read_with_token(call: Call) -> Answer:
    return 200, {name: value for name, value in _webhook(call).payload().items() if name != "user"}


@route("PATCH", "/webhooks/{webhook_id}")
async def edit_webhook(call: Call) -> Answer:
    return _edit_webhook(call)


@route("PATCH", WEBHOOK)
async def edit_webhook_with_token(call: Call) -> Answer:
    return _edit_webhook(call)


def _edit_webhook(call: Call) -> Answer:
    webhook = _webhook(call)
    if "name" in call.body:
        check_webhook_name("name", call.body["name"])
        webhook.name = call.body["name"]
    if "avatar" in call.body:
        webhook.avatar = "0" * 32 if call.body["avatar"] else None
    webhook.tell()
    return 200, webhook.payload()


@route("DELETE", "/webhooks/{webhook_id}")
async def delete_webhook(call: Call) -> Answer:
    _webhook(call).delete()
    return 204, None


@route("DELETE", WEBHOOK)
async def delete_webhook_with_token(call: Call) -> Answer:
    _webhook(call).delete()
    return 204, None


@route("POST", WEBHOOK)
async def execute(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is not None:
        return rest_interactions.follow_up(call, interaction)
    webhook, body = _webhook(call), call.body or {}
    channel = webhook.channel
    if "thread_id" in call.query:
        found = call.world.channels.get(number(call.query["thread_id"]))
        if found is None or found.parent is not channel:
            raise unknown("Channel")
        channel = found
    if body.get("username"):
        check_webhook_name("username", body["username"])
    if body.get("message_reference"):
        raise invalid_form("message_reference", "WEBHOOK_NO_REFERENCE", "Webhooks can't reply.")
    changes = changes_of(call, body)
    author = webhook.face(body.get("username"), body.get("avatar_url"))
    content = changes.pop("content", "")
    message = board.post(channel, author, content, body.get("allowed_mentions"), webhook=webhook, **changes)
    return (200, message.payload()) if call.query.get("wait", "").lower() in ("1", "true") else (204, None)


@route("GET", WEBHOOK + "/messages/@original")
async def read_original(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is None:
        raise unknown("Message")
    return 200, rest_interactions.message_of(interaction, "@original").payload()


@route("PATCH", WEBHOOK + "/messages/@original")
async def edit_original(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is None:
        raise unknown("Message")
    return rest_interactions.edit_message(call, interaction, "@original")


@route("DELETE", WEBHOOK + "/messages/@original")
async def delete_original(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is None:
        raise unknown("Message")
    board.delete(rest_interactions.message_of(interaction, "@original"))
    return 204, None


@route("GET", WEBHOOK + "/messages/{message_id}")
async def read_message(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is not None:
        return 200, rest_interactions.message_of(interaction, call.ids["message_id"]).payload()
    return 200, _message(call, _webhook(call)).payload()


@route("PATCH", WEBHOOK + "/messages/{message_id}")
async def edit_message(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is not None:
        return rest_interactions.edit_message(call, interaction, call.ids["message_id"])
    message, body = _message(call, _webhook(call)), call.body or {}
    call.world.old_edits.take(message)
    board.edit(message, body.get("allowed_mentions"), **changes_of(call, body, message))
    return 200, message.payload()


@route("DELETE", WEBHOOK + "/messages/{message_id}")
async def delete_message(call: Call) -> Answer:
    interaction = rest_interactions.of_call(call)
    if interaction is not None:
        board.delete(rest_interactions.message_of(interaction, call.ids["message_id"]))
    else:
        board.delete(_message(call, _webhook(call)))
    return 204, None
