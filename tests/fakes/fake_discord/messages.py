"""Messages: their versions, whom they pinged, what a viewer without the content intent reads of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.fake_discord.pings import Pings
from tests.fakes.fake_discord.users import User

if TYPE_CHECKING:
    from tests.fakes.fake_discord.channels import Channel
    from tests.fakes.fake_discord.interactions import Interaction
    from tests.fakes.fake_discord.webhooks import Webhook

SUPPRESS_EMBEDS, HAS_THREAD, EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 15
VOICE, HAS_SNAPSHOT, FORWARD = 1 << 13, 1 << 14, 1
REPLY, THREAD_CREATED, SLASH_REPLY, THREAD_STARTER, CONTEXT_REPLY = 19, 18, 20, 21, 23


@dataclass(frozen=True)
class Version:
    """One state of a message: what it said, and from when on."""

    content: str
    embeds: list[dict[str, Any]]
    components: list[dict[str, Any]]
    at: datetime


@dataclass(eq=False)
class Message:
    id: int
    channel: Channel
    author: User
    content: str
    created_at: datetime
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    flags: int = 0
    kind: int = 0
    reply_to: Message | None = None
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    pings: Pings = field(default_factory=Pings)
    webhook: Webhook | None = None
    interaction: Interaction | None = None
    only_for: User | None = None
    nonce: str | None = None
    stickers: list[dict[str, Any]] = field(default_factory=list)
    poll: dict[str, Any] | None = None
    forwarded: Message | None = None
    snapshots: list[dict[str, Any]] = field(default_factory=list)  # of what is forwarded, as it was then
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    thread: Channel | None = None
    reactions: dict[str, list[User]] = field(default_factory=dict)
    super_reactions: dict[str, list[User]] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    @property
    def edits(self) -> list[Version]:
        """Every change after the first version, with its time."""
        return self.versions[1:]

    @property
    def text(self) -> str:
        """Content, or the words of a message made of components."""
        shown = [self.content] if self.content else []
        shown += [str(part["content"]) for part in parts(self.components) if part["type"] == 10]
        return "\n".join(shown)

    @property
    def loading(self) -> bool:
        """Whether Discord shows "thinking…" in its place."""
        return bool(self.flags & LOADING)

    @property
    def ephemeral(self) -> bool:
        return self.only_for is not None

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def is_bots_own(self) -> bool:
        bot = self.channel.world.bot
        return self.author is bot or (self.webhook is not None and self.webhook.owned_by_bot)

    @property
    def buttons(self) -> list[dict[str, Any]]:
        return [part for part in parts(self.components) if part["type"] == 2]

    @property
    def link(self) -> str:
        guild = self.channel.guild.id if self.channel.guild else "@me"
        return f"https://discord.com/channels/{guild}/{self.channel.id}/{self.id}"

    def seen_by(self, user: User) -> bool:
        if self.deleted or (self.only_for is not None and self.only_for is not user):
            return False
        return self.only_for is user or self.channel.seen_by(user)

    def keep_version(self, at: datetime) -> None:
        self.versions.append(Version(self.content, list(self.embeds), list(self.components), at))

    def line(self) -> str:
        marks = [name for name in ("deleted", "ephemeral", "loading") if getattr(self, name)]
        buttons = [button.get("label") or (button.get("emoji") or {}).get("name") for button in self.buttons]
        return f"  {self.author.name}: {self.text!r} {' '.join(marks)} {buttons or ''}".rstrip()

    def readable_without_intent(self) -> bool:
        """Discord gives a bot the content of its own messages, of DMs, and of those that mention it."""
        return self.is_bots_own or self.channel.is_dm or self.channel.world.bot in self.mentions

    def payload(self, with_content: bool = True, deep: bool = True) -> dict[str, Any]:
        """As REST gives it. Without `with_content`, a message that the bot may not read is emptied."""
        readable = with_content or self.readable_without_intent()
        shown: dict[str, Any] = {
            "id": str(self.id), "channel_id": str(self.channel.id), "type": self.kind, "author": self.author.payload(),
            "content": self.content if readable else "", "embeds": self.embeds if readable else [],
            "attachments": self.attachments if readable else [], "components": self.components if readable else [],
            "mentions": [user.payload() for user in self.mentions], "mention_everyone": self.mention_everyone,
            "mention_roles": [str(role) for role in self.mention_roles], "timestamp": self.created_at.isoformat(),
            "edited_timestamp": self.edited_at.isoformat() if self.edited_at else None, "flags": self.flags,
            "pinned": False, "tts": False,
        }  # fmt: skip
        if self.nonce is not None:
            shown["nonce"] = self.nonce
        if self.webhook is not None:
            shown |= {"webhook_id": str(self.webhook.id), "application_id": str(self.channel.world.application.id)}
        if self.interaction is not None:
            shown |= self.interaction.metadata()
        if (emojis := dict.fromkeys([*self.reactions, *self.super_reactions])) and deep:
            shown["reactions"] = [self._reaction_payload(emoji) for emoji in emojis]
        if self.thread is not None and deep:
            shown["thread"] = self.thread.payload()
        if self.stickers:
            shown["sticker_items"] = self.stickers
        if self.poll is not None and readable:
            shown["poll"] = self.poll
        if self.forwarded is not None:
            shown["message_reference"] = _reference(self.forwarded, kind=FORWARD)
            shown |= {"message_snapshots": self.snapshots} if readable else {}
        if self.reply_to is not None:
            shown |= self._reference_payload(with_content, deep)
        return shown

    def _reference_payload(self, with_content: bool, deep: bool) -> dict[str, Any]:
        assert self.reply_to is not None
        reference = _reference(self.reply_to)
        if not deep:
            return {"message_reference": reference}
        found = None if self.reply_to.deleted else self.reply_to.payload(with_content, deep=False)
        return {"message_reference": reference, "referenced_message": found}

    def _reaction_payload(self, emoji: str) -> dict[str, Any]:
        who, bursting = self.reactions.get(emoji, []), self.super_reactions.get(emoji, [])
        return {
            "emoji": emoji_payload(emoji), "count": len(who) + len(bursting),
            "count_details": {"burst": len(bursting), "normal": len(who)},
            "burst_colors": ["#ff0000"] if bursting else [], "me_burst": False, "me": self.channel.world.bot in who,
        }  # fmt: skip

    def event(self, with_content: bool) -> dict[str, Any]:
        """As the gateway gives it: with the guild and the author's membership."""
        shown = self.payload(with_content)
        guild = self.channel.guild
        if guild is None:
            return shown
        shown["guild_id"] = str(guild.id)
        if self.webhook is None and self.author.id in guild.members:
            shown["member"] = guild.members[self.author.id].payload(with_user=False)
        for user, mention in zip(self.mentions, shown["mentions"], strict=True):
            if user.id in guild.members:
                mention["member"] = guild.members[user.id].payload(with_user=False)
        return shown


def _reference(message: Message, kind: int = 0) -> dict[str, Any]:
    there = message.channel
    reference: dict[str, Any] = {"type": kind, "channel_id": str(there.id), "message_id": str(message.id)}
    return reference if there.guild is None else {**reference, "guild_id": str(there.guild.id)}


def snapshot(message: Message) -> dict[str, Any]:
    """What a forwarded message shows of the one it forwards: never its author."""
    names = ("type", "content", "mentions", "mention_roles", "attachments", "embeds", "timestamp", "edited_timestamp",
             "flags", "components", "sticker_items")  # fmt: skip
    shown = message.payload()
    return {"message": {name: shown[name] for name in names if name in shown}}


def emoji_payload(emoji: str) -> dict[str, Any]:
    """A unicode emoji, or a custom one written `name:id`."""
    if ":" in emoji:
        name, _, number = emoji.partition(":")
        return {"id": number, "name": name}
    return {"id": None, "name": emoji}


def parts(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All components, however deep they lie."""
    found: list[dict[str, Any]] = []
    for component in components:
        found.append(component)
        found += parts(component.get("components", []))
        found += parts([component[name] for name in ("component", "accessory") if component.get(name)])
    return found
