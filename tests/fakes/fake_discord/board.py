"""Posting, editing, deleting and reacting: what REST and people do alike, and the events it causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import (
    HAS_THREAD,
    REPLY,
    THREAD_STARTER,
    Message,
    emoji_payload,
)
from tests.fakes.fake_discord.pings import Pings, mentioned
from tests.fakes.fake_discord.users import User

if TYPE_CHECKING:
    from tests.fakes.fake_discord.world import World

EVERY_KIND = {"parse": ["users", "roles", "everyone"], "replied_user": True}
USERS_ONLY = {"parse": ["users"], "replied_user": True}


def post(channel: Channel, author: User, content: str, allowed: dict[str, Any] | None = None, **more: Any) -> Message:
    """Puts a message up. `allowed` is `allowed_mentions`; left out, Discord's default for the kind of message holds."""
    world = channel.world
    now = world.clock.now()
    message = Message(more.pop("id", None) or world.next_id(), channel, author, content, now, **more)
    if message.reply_to is not None and message.kind == 0:
        message.kind = REPLY
    read_mentions(message, allowed)
    message.pings = Pings(
        tuple(user for user in message.mentions if user is not author), tuple(message.mention_roles),
        message.mention_everyone,
    )  # fmt: skip
    message.keep_version(now)
    channel.everything.append(message)
    world.messages[message.id] = message
    if channel.is_thread and message.webhook is None and message.only_for is None:
        channel.join(author)
        for user in message.mentions:
            channel.join(user)
    if message.only_for is None:
        world.emit("MESSAGE_CREATE", message.event, channel=channel)
    world.touch()
    return message


def read_mentions(message: Message, allowed: dict[str, Any] | None) -> None:
    """Fills in whom the text mentions, as far as `allowed_mentions` lets it (Discord's documented meaning)."""
    channel, world = message.channel, message.channel.world
    if allowed is None:
        allowed = USERS_ONLY if message.webhook is not None or message.interaction is not None else EVERY_KIND
    parse = allowed.get("parse") or []
    users, roles, everyone = mentioned(message.text)
    listed = {int(user) for user in allowed.get("users") or []}
    named = [world.users[user] for user in users if user in world.users and ("users" in parse or user in listed)]
    if message.reply_to is not None and allowed.get("replied_user") and message.reply_to.webhook is None:
        named.append(message.reply_to.author)
    message.mentions = list(dict.fromkeys(named))
    listed = {int(role) for role in allowed.get("roles") or []}
    message.mention_roles = [role for role in roles if "roles" in parse or role in listed]
    may = channel.guild is not None and channel.may(message.author, "mention_everyone")
    message.mention_everyone = everyone and "everyone" in parse and may


def edit(message: Message, allowed: dict[str, Any] | None = None, silently: bool = False, **changes: Any) -> None:
    """Changes a message. `silently` as Discord itself does, for instance when it unfurls a link.

    Other words mention others, as far as this edit's own `allowed` lets them; nobody is notified of an edit.
    """
    now = message.channel.world.clock.now()
    for name, value in changes.items():
        setattr(message, name, value)
    if not silently:
        message.edited_at = now
        if changes.keys() & {"content", "components"}:
            read_mentions(message, allowed)
    message.keep_version(now)
    if message.only_for is None:
        message.channel.world.emit("MESSAGE_UPDATE", message.event, channel=message.channel)
    message.channel.world.touch()


def fill_in(message: Message, allowed: dict[str, Any] | None = None, **changes: Any) -> None:
    """The content that "thinking…" stood for: no edit in the eyes of people, an update on the gateway."""
    for name, value in changes.items():
        setattr(message, name, value)
    read_mentions(message, allowed)
    message.pings = Pings(tuple(message.mentions), tuple(message.mention_roles), message.mention_everyone)
    edit(message, silently=True)


def delete(message: Message) -> None:
    message.deleted_at = message.channel.world.clock.now()
    shown = {"id": str(message.id), "channel_id": str(message.channel.id)}
    if message.only_for is None:
        message.channel.world.emit("MESSAGE_DELETE", in_guild(shown, message.channel), channel=message.channel)
    message.channel.world.touch()


def delete_many(messages: list[Message]) -> None:
    channel = messages[0].channel
    for message in messages:
        message.deleted_at = channel.world.clock.now()
    shown = {"ids": [str(message.id) for message in messages], "channel_id": str(channel.id)}
    channel.world.emit("MESSAGE_DELETE_BULK", in_guild(shown, channel), channel=channel)
    channel.world.touch()


def react(message: Message, user: User, emoji: str, burst: bool = False) -> None:
    who = (message.super_reactions if burst else message.reactions).setdefault(emoji, [])
    if user in who:
        return
    who.append(user)
    shown = _reaction(message, user, emoji, burst)
    if burst:
        shown["burst_colors"] = ["#ff0000"]
    if message.channel.guild is not None:
        shown["member"] = message.channel.guild.member(user).payload()
    if message.webhook is None:
        shown["message_author_id"] = str(message.author.id)
    message.channel.world.emit("MESSAGE_REACTION_ADD", shown, channel=message.channel)
    message.channel.world.touch()


def unreact(message: Message, user: User, emoji: str, burst: bool = False) -> None:
    reactions = message.super_reactions if burst else message.reactions
    who = reactions.get(emoji, [])
    if user not in who:
        return
    who.remove(user)
    if not who:
        del reactions[emoji]
    shown = _reaction(message, user, emoji, burst)
    message.channel.world.emit("MESSAGE_REACTION_REMOVE", shown, channel=message.channel)
    message.channel.world.touch()


def clear_reactions(message: Message, emoji: str | None = None) -> None:
    """Everybody's reactions go at once, or those with one emoji."""
    shown = in_guild({"channel_id": str(message.channel.id), "message_id": str(message.id)}, message.channel)
    if emoji is None:
        message.reactions.clear()
        message.super_reactions.clear()
        message.channel.world.emit("MESSAGE_REACTION_REMOVE_ALL", shown, channel=message.channel)
    elif [message.reactions.pop(emoji, None), message.super_reactions.pop(emoji, None)] != [None, None]:
        shown = {**shown, "emoji": emoji_payload(emoji)}
        message.channel.world.emit("MESSAGE_REACTION_REMOVE_EMOJI", shown, channel=message.channel)
    message.channel.world.touch()


def _reaction(message: Message, user: User, emoji: str, burst: bool) -> dict[str, Any]:
    shown = {
        "user_id": str(user.id), "channel_id": str(message.channel.id), "message_id": str(message.id),
        "emoji": emoji_payload(emoji), "burst": burst, "type": int(burst),
    }  # fmt: skip
    return in_guild(shown, message.channel)


def start_thread(channel: Channel, owner: User, name: str, message: Message | None = None, kind: int = 11) -> Channel:
    """A thread, from a message (whose id it then has) or on its own."""
    world: World = channel.world
    thread = world.new_channel(
        kind, message.id if message else None, guild=channel.guild, parent=channel, owner=owner, name=name,
        nsfw=channel.nsfw,
    )  # fmt: skip
    thread.thread_members[owner.id] = world.clock.now()
    world.emit("THREAD_CREATE", {**thread.payload(), "newly_created": True}, channel=thread)
    if message is not None:
        message.thread = thread
        edit(message, silently=True, flags=message.flags | HAS_THREAD)
        starter = Message(
            world.next_id(), thread, message.author, "", world.clock.now(), kind=THREAD_STARTER, reply_to=message
        )
        thread.everything.append(starter)
        world.messages[starter.id] = starter
    world.touch()
    return thread


def in_guild(event: dict[str, Any], channel: Channel) -> dict[str, Any]:
    return event if channel.guild is None else {**event, "guild_id": str(channel.guild.id)}
