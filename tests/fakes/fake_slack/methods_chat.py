"""chat.*: messages of the bot, ephemeral ones, and streams."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_slack import board
from tests.fakes.fake_slack.blocks import MARKDOWN_CHARS, faults_of, markdown_chars
from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.mrkdwn import MARKDOWN, MRKDWN, calls_in, links_in, texts_of
from tests.fakes.fake_slack.refusals import Refusal, invalid_arguments, invalid_blocks, missing_scope
from tests.fakes.fake_slack.web_api import Call, Method

TEXT_CHARS, UPDATE_CHARS = 40_000, 4_000
STREAM_CHARS = 40_000  # of a whole stream; one call holds MARKDOWN_CHARS
STREAM_S = 300.0
CUSTOMIZE = "chat:write.customize"


async def post_message(call: Call) -> dict[str, Any]:
    call.need("channel")
    channel = call.world.channel_to_write(call.given["channel"], is_public_enough="chat:write.public" in call.scopes)
    root = _thread(call, channel)
    broadcast = call.is_set("reply_broadcast") and root is not None
    message = board.post(
        channel, call.world.bot, **_said(call, TEXT_CHARS), **_identity(call), thread_ts=root, is_broadcast=broadcast,
        metadata=call.given.get("metadata"),
    )  # fmt: skip
    _note_calls(call, message)
    _end_status(message)
    if call.is_set("unfurl_links", default=True) or call.is_set("unfurl_media", default=True):
        message.unfurls = links_in(message.everything)
    return {"channel": channel.id, "ts": message.ts, "message": message.payload()}


async def post_ephemeral(call: Call) -> dict[str, Any]:
    call.need("channel", "user")
    channel = call.world.channel_to_write(call.given["channel"], is_public_enough=False)
    user = call.world.users.get(str(call.given["user"]))
    if user is None or user not in channel.members:
        raise Refusal("user_not_in_channel")
    message = board.post(
        channel, call.world.bot, **_said(call, TEXT_CHARS), **_identity(call), thread_ts=_thread(call, channel),
        only_for=user,
    )  # fmt: skip
    _note_calls(call, message)
    call.world.note_reply(user, channel, message)
    return {"message_ts": message.ts}


async def update(call: Call) -> dict[str, Any]:
    call.need("channel", "ts")
    message = _own(call, "cant_update_message")
    if message.is_streaming and not _has_expired(message):
        raise Refusal("streaming_state_conflict")
    said = _said(call, UPDATE_CHARS)
    if "blocks" not in call.given:
        said["blocks"] = []
    # Slack takes no name or icon here, and what was posted under another name shows the app's own afterwards.
    board.edit(message, **{"markdown": None, **said}, username=None, icons=None, is_streaming=False)
    _note_calls(call, message)
    shown = message.payload()
    return {"channel": message.channel.id, "ts": message.ts, "text": message.text, "message": shown}


async def delete(call: Call) -> dict[str, Any]:
    call.need("channel", "ts")
    message = _own(call, "cant_delete_message")
    if message.is_customized and not call.world.deletes_customized:
        raise Refusal("cant_delete_message")
    board.delete(message)
    return {"channel": message.channel.id, "ts": message.ts}


async def get_permalink(call: Call) -> dict[str, Any]:
    call.need("channel", "message_ts")
    channel = call.world.channel_for_bot(call.given["channel"])
    message = channel.find(str(call.given["message_ts"]))
    if message is None:
        raise Refusal("message_not_found")
    link = f"https://{call.world.team_name}.slack.example/archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


async def start_stream(call: Call) -> dict[str, Any]:
    call.need("channel", "thread_ts")
    channel = call.world.channel_to_write(call.given["channel"], is_public_enough="chat:write.public" in call.scopes)
    if channel.kind != "im":
        for name in ("recipient_team_id", "recipient_user_id"):
            if not call.given.get(name):
                raise Refusal(f"missing_{name}")
        if str(call.given["recipient_user_id"]) not in call.world.users:
            raise Refusal("user_not_found")
    message = board.post(
        channel, call.world.bot, markdown=_streamed(call), **_identity(call), thread_ts=_thread(call, channel),
        is_streaming=True, stream_ends_at=call.world.clock.added + STREAM_S,
    )  # fmt: skip
    _note_calls(call, message)
    _end_status(message)
    return {"channel": channel.id, "ts": message.ts}


async def append_stream(call: Call) -> dict[str, Any]:
    call.need("channel", "ts")
    if not call.given.get("markdown_text") and not call.given.get("chunks"):
        raise invalid_arguments("missing required field: markdown_text")
    message = _running(call)
    _append(call, message)
    message.keep_version()
    _note_calls(call, message)
    return {"channel": message.channel.id, "ts": message.ts}


async def stop_stream(call: Call) -> dict[str, Any]:
    call.need("channel", "ts")
    message = _running(call)
    _append(call, message)
    blocks = _blocks(call)
    board.edit(message, silently=True, is_streaming=False, blocks=blocks, text=message.markdown or "")
    _note_calls(call, message)
    return {"channel": message.channel.id, "ts": message.ts, "message": message.payload()}


def _running(call: Call) -> Message:
    message = _own(call, "message_not_owned_by_app")
    if not message.is_streaming or _has_expired(message):
        message.is_streaming = False
        raise Refusal("message_not_in_streaming_state")
    return message


def _has_expired(message: Message) -> bool:
    return message.channel.world.clock.added >= message.stream_ends_at


def _append(call: Call, message: Message) -> None:
    more = _streamed(call)
    if len(message.markdown or "") + len(more) > STREAM_CHARS:
        raise Refusal("msg_too_long")
    message.markdown = (message.markdown or "") + more


def _streamed(call: Call) -> str:
    """The markdown of a call to a stream, given as it is or in chunks."""
    given = str(call.given.get("markdown_text") or "")
    chunks = call.given.get("chunks") or []
    if given and chunks:
        raise invalid_arguments("markdown_text and chunks exclude each other")
    for chunk in chunks:
        if chunk.get("type") not in ("markdown_text", "task_update", "plan_update", "blocks"):
            raise Refusal("invalid_chunks")
    text = given or "".join(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")
    if len(text) > MARKDOWN_CHARS:
        raise Refusal("msg_too_long")
    return text


def _said(call: Call, limit: int) -> dict[str, Any]:
    """Text, markdown and blocks of a message, as far as Slack takes them."""
    text, markdown, blocks = str(call.given.get("text") or ""), call.given.get("markdown_text"), _blocks(call)
    attachments = call.given.get("attachments") or []
    if markdown is not None and (text or blocks):
        raise Refusal("markdown_text_conflict")
    if not (text or markdown or blocks or attachments):
        raise Refusal("no_text")
    if len(text) > limit or len(markdown or "") > MARKDOWN_CHARS:
        raise Refusal("msg_too_long")
    return {"text": text, "markdown": markdown, "blocks": blocks, "attachments": attachments}


def _blocks(call: Call) -> list[dict[str, Any]]:
    blocks = call.given.get("blocks")
    if not blocks:
        return []
    if faults := faults_of(blocks):
        raise invalid_blocks(*faults)
    if markdown_chars(blocks) > MARKDOWN_CHARS:
        raise Refusal("msg_blocks_too_long")
    return [{"block_id": f"b{index}", **block} for index, block in enumerate(blocks)]


def _identity(call: Call) -> dict[str, Any]:
    given = {name: call.given[name] for name in ("username", "icon_emoji", "icon_url") if call.given.get(name)}
    if not given:
        return {}
    if CUSTOMIZE not in call.scopes:
        raise missing_scope(CUSTOMIZE, call.scopes)
    if len(given.get("username", "")) > 80:
        raise invalid_arguments("username must be less than 81 characters")
    icons = {name.replace("icon_", ""): value for name, value in given.items() if name != "username"}
    return {"username": given.get("username"), "icons": icons or None}


def _thread(call: Call, channel: Channel) -> str | None:
    ts = call.given.get("thread_ts")
    if not ts:
        return None
    root = channel.find(str(ts))
    if root is None or root.only_for is not None:
        raise Refusal("thread_not_found")
    return root.root_ts


def _own(call: Call, otherwise: str) -> Message:
    channel = call.world.channel_for_bot(call.given["channel"])
    message = channel.find(str(call.given["ts"]))
    if message is None or message.only_for is not None:
        raise Refusal("message_not_found")
    if message.author is not call.world.bot:
        raise Refusal(otherwise)
    return message


def _end_status(message: Message) -> None:
    """Slack takes the status away when the app speaks in the thread."""
    if message.channel.status_of(message):
        message.channel.statuses.append({"thread_ts": message.root_ts, "status": ""})


def _note_calls(call: Call, message: Message) -> None:
    """Whom the bot's words would notify, whether somebody of that name is there or not."""
    names = call.is_set("link_names") or call.given.get("parse") in ("full", "client")
    found = calls_in(message.text, finds_names=names)
    found += calls_in(message.markdown or "", MARKDOWN)
    for kind, text in texts_of([*message.blocks, *message.attachments]):
        found += calls_in(text, kind, finds_names=names)
    found += [one for attachment in message.attachments for one in calls_in(str(attachment.get("text", "")), MRKDWN)]
    message.pings += [one for one in found if one not in message.pings]


WRITE = ("chat:write",)
METHODS = {
    "chat.postMessage": Method(post_message, WRITE),
    "chat.postEphemeral": Method(post_ephemeral, WRITE),
    "chat.update": Method(update, WRITE),
    "chat.delete": Method(delete, WRITE),
    "chat.getPermalink": Method(get_permalink),
    "chat.startStream": Method(start_stream, WRITE),
    "chat.appendStream": Method(append_stream, WRITE),
    "chat.stopStream": Method(stop_stream, WRITE),
}
