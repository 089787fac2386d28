"""Guilds: members, roles, permissions, and how Discord describes them. Knows no messages and no sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.fake_discord import permissions
from tests.fakes.fake_discord.users import User

if TYPE_CHECKING:
    from tests.fakes.fake_discord.channels import Channel
    from tests.fakes.fake_discord.world import World


@dataclass(eq=False)
class Role:
    id: int
    name: str
    permissions: int
    position: int = 0
    of_bot: int | None = None

    def payload(self) -> dict[str, Any]:
        shown = {
            "id": str(self.id), "name": self.name, "permissions": str(self.permissions), "position": self.position,
            "color": 0, "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False, "managed": self.of_bot is not None, "mentionable": True, "icon": None,
            "unicode_emoji": None, "flags": 0,
        }  # fmt: skip
        return {**shown, "tags": {"bot_id": str(self.of_bot)}} if self.of_bot else shown


@dataclass(eq=False)
class Member:
    user: User
    joined_at: datetime
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None
    avatar: str | None = None
    banner: str | None = None
    bio: str | None = None

    def payload(self, with_user: bool = True) -> dict[str, Any]:
        shown = {
            "avatar": self.avatar, "banner": self.banner, "communication_disabled_until": None, "flags": 0,
            "joined_at": self.joined_at.isoformat(), "nick": self.nick, "pending": False, "premium_since": None,
            "roles": [str(role.id) for role in self.roles], "mute": False, "deaf": False,
        }  # fmt: skip
        return {**shown, "user": self.user.payload()} if with_user else shown


class Guild:
    """A server. People become its members when they first do something in it."""

    def __init__(self, world: World, name: str, owner: User, with_bot: bool) -> None:
        self.world = world
        self.id = world.next_id()
        self.name = name
        self.owner = owner
        self.with_bot = with_bot
        self.everyone = Role(self.id, "@everyone", permissions.OF_A_PERSON)
        self.roles: dict[int, Role] = {self.id: self.everyone}
        self.members: dict[int, Member] = {}
        self.channels: dict[int, Channel] = {}
        self.threads: dict[int, Channel] = {}
        self.bot_role = Role(world.next_id(), world.bot.name, permissions.OF_THE_BOT, 1, world.bot.id)
        if with_bot:
            self.roles[self.bot_role.id] = self.bot_role
            self.members[world.bot.id] = Member(world.bot, world.clock.now(), [self.bot_role])

    @property
    def bot_member(self) -> Member:
        return self.members[self.world.bot.id]

    def add_channel(self, name: str, nsfw: bool = False, topic: str | None = None, kind: int = 0) -> Channel:
        channel = self.world.new_channel(kind, guild=self, name=name, nsfw=nsfw, topic=topic)
        self.world.emit("CHANNEL_CREATE", channel.payload(), channel=channel)
        return channel

    def member(self, user: User) -> Member:
        if user.id not in self.members:
            self.members[user.id] = Member(user, self.world.clock.now())
            event = {**self.members[user.id].payload(), "guild_id": str(self.id)}
            self.world.emit("GUILD_MEMBER_ADD", event, guild=self)
        return self.members[user.id]

    def grant(self, user: User, *names: str) -> Role:
        """Gives a member a role of their own with these permissions."""
        role = Role(self.world.next_id(), f"{user.name} may", permissions.bits(*names), len(self.roles))
        self.roles[role.id] = role
        self.world.emit("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.payload()}, guild=self)
        self.member(user).roles.append(role)
        self.tell_of_member(user)
        return role

    def forbid_bot(self, *names: str) -> None:
        """Takes permissions away from the bot's role and from @everyone."""
        for role in (self.bot_role, self.everyone):
            role.permissions &= ~permissions.bits(*names)
            self.world.emit("GUILD_ROLE_UPDATE", {"guild_id": str(self.id), "role": role.payload()}, guild=self)

    def allow_bot(self, *names: str) -> None:
        self.bot_role.permissions |= permissions.bits(*names)
        event = {"guild_id": str(self.id), "role": self.bot_role.payload()}
        self.world.emit("GUILD_ROLE_UPDATE", event, guild=self)

    def tell_of_member(self, user: User) -> None:
        self.world.emit(
            "GUILD_MEMBER_UPDATE", {**self.members[user.id].payload(), "guild_id": str(self.id)}, guild=self, of=user
        )

    def remove_bot(self) -> None:
        """The server removes the bot: GUILD_DELETE, and every later request about it is refused."""
        self.world.emit("GUILD_DELETE", {"id": str(self.id)}, guild=self)
        self.members.pop(self.world.bot.id, None)
        self.with_bot = False

    def invite_bot(self) -> None:
        self.with_bot = True
        self.roles[self.bot_role.id] = self.bot_role
        self.members[self.world.bot.id] = Member(self.world.bot, self.world.clock.now(), [self.bot_role])
        self.world.emit("GUILD_CREATE", self.full_payload(), guild=self)

    def permissions_of(self, user: User, channel: Channel | None = None) -> int:
        """Roles, then overwrites of the channel: @everyone, roles, member (Discord's documented order)."""
        if user.id == self.owner.id:
            return permissions.EVERYTHING
        roles = self.members[user.id].roles if user.id in self.members else []
        value = self.everyone.permissions
        for role in roles:
            value |= role.permissions
        if value & permissions.bits("administrator"):
            return permissions.EVERYTHING
        if channel is None:
            return value
        overwrites = (channel.parent or channel).overwrites
        allow, deny = overwrites.get(self.id, (0, 0))
        value = (value & ~deny) | allow
        of_roles = [overwrites[role.id] for role in roles if role.id in overwrites]
        for _, deny in of_roles:
            value &= ~deny
        for allow, _ in of_roles:
            value |= allow
        allow, deny = overwrites.get(user.id, (0, 0))
        return (value & ~deny) | allow

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id), "name": self.name, "icon": None, "description": None, "home_header": None,
            "splash": None, "discovery_splash": None, "features": [], "banner": None, "owner_id": str(self.owner.id),
            "application_id": None, "region": "deprecated", "afk_channel_id": None, "afk_timeout": 300,
            "system_channel_id": None, "system_channel_flags": 0, "widget_enabled": False, "widget_channel_id": None,
            "verification_level": 0, "roles": [role.payload() for role in self.roles.values()],
            "default_message_notifications": 1, "mfa_level": 0, "explicit_content_filter": 0, "max_presences": None,
            "max_members": 500000, "max_stage_video_channel_users": 50, "max_video_channel_users": 25,
            "vanity_url_code": None, "premium_tier": 0, "premium_subscription_count": 0, "preferred_locale": "en-US",
            "rules_channel_id": None, "safety_alerts_channel_id": None, "public_updates_channel_id": None,
            "premium_progress_bar_enabled": False, "nsfw": False, "nsfw_level": 0, "emojis": [], "stickers": [],
            "incidents_data": None,
        }  # fmt: skip

    def full_payload(self) -> dict[str, Any]:
        """What GUILD_CREATE carries."""
        return {
            **self.payload(), "joined_at": self.bot_member.joined_at.isoformat(), "large": False,
            "member_count": len(self.members), "voice_states": [], "presences": [],
            "stage_instances": [], "guild_scheduled_events": [], "soundboard_sounds": [],
            "members": [member.payload() for member in self.members.values()],
            "channels": [channel.payload() for channel in self.channels.values() if channel.seen_by(self.world.bot)],
            "threads": [thread.payload() for thread in self._active_threads() if thread.seen_by(self.world.bot)],
        }  # fmt: skip

    def _active_threads(self) -> list[Channel]:
        return [thread for thread in self.threads.values() if not thread.archived]
