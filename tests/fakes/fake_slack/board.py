"""What happens to messages, and the event that Slack tells of each. Nothing here asks who may."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.users import User

EMOJI = {
    "👍": "+1",
    "👎": "-1",
    "❤️": "heart",
    "👀": "eyes",
    "✅": "white_check_mark",
    "thumbsup": "+1",
    "thumbsdown": "-1",
}


def post(channel: Channel, author: User, text: str = "", **more: Any) -> Message:
    """A new message, which everybody in the channel hears of; an ephemeral one reaches nobody's events."""
    message = Message(channel.world.next_ts(), channel, author, text, **more)
    message.keep_version()
    channel.everything.append(message)
    if message.only_for is None:
        tell(message)
    channel.world.touch()
    return message


def tell(message: Message) -> None:
    """The events of a new message: a mention in a channel comes as two, in no certain order."""
    channel, world = message.channel, message.channel.world
    event = {**_facts(message), "event_ts": message.ts, "channel": channel.id}
    if world.bot.mention in message.text and channel.kind != "im" and message.author is not world.bot:
        mention = {name: value for name, value in event.items() if name not in ("subtype", "parent_user_id")}
        world.emit("app_mention", mention, channel)
    world.emit("message", {**event, "channel_type": channel.kind}, channel)


def _facts(message: Message) -> dict[str, Any]:
    shown = message.payload()
    if message.is_broadcast:
        shown["subtype"] = "thread_broadcast"
    if message.files:
        shown |= {"subtype": "file_share", "upload": False}
    return shown


def edit(message: Message, *, silently: bool = False, **changes: Any) -> None:
    """Changes a message. `silently` as Slack itself does, for instance when it unfurls a link."""
    before = message.payload()
    for name, value in changes.items():
        setattr(message, name, value)
    world = message.channel.world
    if not silently:
        message.edited = {"user": message.author.id, "ts": world.next_ts()}
    message.keep_version()
    if message.only_for is None:
        tell_changed(message, before)
    world.touch()


def tell_changed(message: Message, before: dict[str, Any]) -> None:
    event = {"subtype": "message_changed", "message": message.payload(), "previous_message": before}
    _tell_hidden(message, event)


def delete(message: Message) -> None:
    """A message goes. One that began a thread leaves a tombstone in its place, which Slack tells as a change."""
    channel, before = message.channel, message.payload()
    has_replies = any(one.root_ts == message.ts and one is not message for one in channel.messages)
    message.is_deleted = True
    if message.only_for is None and has_replies:
        stone = {
            "type": "message", "subtype": "tombstone", "text": "This message was deleted.", "ts": message.ts,
            "thread_ts": message.ts, "user": "USLACKBOT", "hidden": True,
        }  # fmt: skip
        _tell_hidden(message, {"subtype": "message_changed", "message": stone, "previous_message": before})
    elif message.only_for is None:
        event = {"subtype": "message_deleted", "deleted_ts": message.ts, "previous_message": before}
        _tell_hidden(message, event)
    channel.world.touch()


def _tell_hidden(message: Message, event: dict[str, Any]) -> None:
    channel, ts = message.channel, message.channel.world.next_ts()
    shared = {"channel": channel.id, "hidden": True, "ts": ts, "event_ts": ts, "channel_type": channel.kind}
    channel.world.emit("message", {**event, **shared}, channel)


def react(message: Message, user: User, emoji: str) -> bool:
    """Whether the reaction is new."""
    name = EMOJI.get(emoji, emoji.strip(":"))
    who = message.reactions.setdefault(name, [])
    if user in who:
        return False
    who.append(user)
    _tell_reaction("reaction_added", message, user, name)
    return True


def unreact(message: Message, user: User, emoji: str) -> bool:
    """Whether there was such a reaction."""
    name = EMOJI.get(emoji, emoji.strip(":"))
    who = message.reactions.get(name, [])
    if user not in who:
        return False
    who.remove(user)
    if not who:
        del message.reactions[name]
    _tell_reaction("reaction_removed", message, user, name)
    return True


def _tell_reaction(kind: str, message: Message, user: User, name: str) -> None:
    channel, world = message.channel, message.channel.world
    event: dict[str, Any] = {
        "user": user.id, "reaction": name, "item": {"type": "message", "channel": channel.id, "ts": message.ts},
        "event_ts": world.next_ts(),
    }  # fmt: skip
    if not message.is_customized:  # nobody's message, as far as Slack says
        event["item_user"] = message.author.id
    world.emit(kind, event, channel)
    world.touch()
