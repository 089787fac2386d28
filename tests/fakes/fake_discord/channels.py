"""Channels, threads and DMs: who sees them, what is in them, and waiting until something is."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tests.fakes.fake_discord import permissions
from tests.fakes.fake_discord.users import User
from tests.running.patience import TIMEOUT_S

if TYPE_CHECKING:
    from tests.fakes.fake_discord.guilds import Guild
    from tests.fakes.fake_discord.messages import Message
    from tests.fakes.fake_discord.world import World

TEXT, DM, VOICE, PUBLIC_THREAD, PRIVATE_THREAD, FORUM = 0, 1, 2, 11, 12, 15
T = TypeVar("T")


@dataclass(frozen=True)
class Typing:
    user: User
    at: datetime


class Channel:
    def __init__(self, world: World, channel_id: int, kind: int, **more: Any) -> None:
        self.world = world
        self.id = channel_id
        self.kind = kind
        self.guild: Guild | None = more.get("guild")
        self.name: str = more.get("name", "")
        self.topic: str | None = more.get("topic")
        self.nsfw: bool = more.get("nsfw", False)
        self.parent: Channel | None = more.get("parent")
        self.owner: User | None = more.get("owner")
        self.recipients: list[User] = more.get("recipients", [])
        self.overwrites: dict[int, tuple[int, int]] = {}
        self.thread_members: dict[int, datetime] = {}
        self.archived = False
        self.locked = False
        self.created_at = world.clock.now()
        self.typing: list[Typing] = []
        self.everything: list[Message] = []

    @property
    def is_thread(self) -> bool:
        return self.kind in (PUBLIC_THREAD, PRIVATE_THREAD)

    @property
    def is_dm(self) -> bool:
        return self.kind == DM

    @property
    def messages(self) -> list[Message]:
        """What everyone in the channel sees now, oldest first. Deleted and ephemeral messages are in `everything`."""
        return [message for message in self.everything if message.deleted_at is None and message.only_for is None]

    @property
    def from_bot(self) -> list[Message]:
        """The bot's messages among them, whether posted plainly, through its webhook or as an interaction's reply."""
        return [message for message in self.messages if message.is_bots_own]

    def permissions_of(self, user: User) -> int:
        return permissions.EVERYTHING if self.guild is None else self.guild.permissions_of(user, self)

    def may(self, user: User, *names: str) -> bool:
        wanted = permissions.bits(*names)
        return self.permissions_of(user) & wanted == wanted

    def seen_by(self, user: User) -> bool:
        if self.guild is None:
            return user in self.recipients
        if user.id not in self.guild.members or not self.may(user, "view_channel"):
            return False
        return self.kind != PRIVATE_THREAD or user.id in self.thread_members

    def forbid_bot(self, *names: str) -> None:
        """An overwrite that takes permissions away from the bot here; nothing named: clears the overwrite."""
        denied = permissions.bits(*names)
        self.overwrites[self.world.bot.id] = (0, denied)
        self.world.emit("CHANNEL_UPDATE", self.payload(), guild=self.guild)

    async def wait_for(self, condition: Callable[[list[Message]], T], timeout: float = TIMEOUT_S) -> T:
        """Waits until `condition(channel.messages)` holds, and returns its value.

        Raises AssertionError, which shows what the channel held, after `timeout` seconds.
        """
        return await self.world.wait_for(lambda: condition(self.messages), timeout, self.transcript)

    async def wait_for_typing(self, count: int = 1, timeout: float = TIMEOUT_S) -> list[Typing]:
        def typed() -> list[Typing] | None:
            bots = [typing for typing in self.typing if typing.user is self.world.bot]
            return bots if len(bots) >= count else None

        return await self.world.wait_for(typed, timeout, self.transcript)

    def transcript(self) -> str:
        lines = [message.line() for message in self.everything]
        return f"#{self.name or self.id}:\n" + ("\n".join(lines) or "(empty)")

    def delete(self) -> None:
        """A moderator deletes the channel or thread."""
        self.world.remove_channel(self)

    def archive(self, locked: bool = False) -> None:
        self.archived, self.locked = True, locked
        self.world.emit("THREAD_UPDATE", self.payload(), channel=self)

    def payload(self) -> dict[str, Any]:
        newest = self.messages[-1].id if self.messages else None
        shown: dict[str, Any] = {
            "id": str(self.id), "type": self.kind, "flags": 0, "last_message_id": str(newest) if newest else None,
        }  # fmt: skip
        if self.is_dm:
            others = [user for user in self.recipients if user is not self.world.bot]
            return {**shown, "recipients": [user.payload() for user in others]}
        assert self.guild is not None
        shown |= {"guild_id": str(self.guild.id), "name": self.name, "rate_limit_per_user": 0}
        if self.is_thread:
            return shown | self._thread_payload()
        overwrites = [
            {"id": str(target), "type": 0 if target in self.guild.roles else 1, "allow": str(allow), "deny": str(deny)}
            for target, (allow, deny) in self.overwrites.items()
        ]
        position = list(self.guild.channels).index(self.id) if self.id in self.guild.channels else 0
        return shown | {
            "parent_id": None, "topic": self.topic, "position": position, "permission_overwrites": overwrites,
            "nsfw": self.nsfw, **({"bitrate": 64_000, "user_limit": 0} if self.kind == VOICE else {}),
        }  # fmt: skip

    def _thread_payload(self) -> dict[str, Any]:
        assert self.parent is not None and self.owner is not None
        count = len(self.messages)
        shown: dict[str, Any] = {
            "parent_id": str(self.parent.id), "owner_id": str(self.owner.id), "message_count": count,
            "total_message_sent": count, "member_count": len(self.thread_members),
            "thread_metadata": {
                "archived": self.archived, "archive_timestamp": self.created_at.isoformat(),
                "auto_archive_duration": 1440, "locked": self.locked, "create_timestamp": self.created_at.isoformat(),
            },
        }  # fmt: skip
        bot = self.world.bot.id
        return {**shown, "member": self.member_payload(bot)} if bot in self.thread_members else shown

    def member_payload(self, user_id: int) -> dict[str, Any]:
        joined = self.thread_members[user_id].isoformat()
        return {"id": str(self.id), "user_id": str(user_id), "join_timestamp": joined, "flags": 0}

    def join(self, user: User) -> None:
        """Makes a user a member of the thread, once."""
        if user.id in self.thread_members or self.guild is None:
            return
        self.thread_members[user.id] = self.world.clock.now()
        self.world.emit("THREAD_MEMBERS_UPDATE", {
            "id": str(self.id), "guild_id": str(self.guild.id), "member_count": len(self.thread_members),
            "added_members": [{**self.member_payload(user.id), "member": self.guild.member(user).payload()}],
        }, channel=self, of=user)  # fmt: skip

    def expel(self, user: User) -> None:
        """A moderator takes a member out of the thread; who leaves it looks the same."""
        assert self.guild is not None
        del self.thread_members[user.id]
        self.world.emit("THREAD_MEMBERS_UPDATE", {
            "id": str(self.id), "guild_id": str(self.guild.id), "member_count": len(self.thread_members),
            "removed_member_ids": [str(user.id)],
        }, channel=self, of=user)  # fmt: skip
