"""Everything that exists at the fake, as plain state. Knows no sockets: events leave through `emit`."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.clock import Clock, Ids, Timestamps
from tests.fakes.fake_slack.interactions import Interaction
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.refusals import Refusal
from tests.fakes.fake_slack.users import User
from tests.fakes.fake_slack.views import View

T = TypeVar("T")


class Emit(Protocol):
    def __call__(self, kind: str, event: dict[str, Any], channel: Channel | None = None) -> None: ...


class Interact(Protocol):
    def __call__(self, kind: str, payload: dict[str, Any], interaction: Interaction) -> None: ...


class World:
    """Channels, people, messages, views and interactions of one fake workspace with one app in it."""

    def __init__(self, bot_name: str) -> None:
        self.clock = Clock()
        self.ids = Ids()
        self._timestamps = Timestamps(self.clock)
        self.team_id = self.ids.next("T")
        self.team_name = "harbour"
        self.app_id = self.ids.next("A")
        self.bot = User(self.ids.next("U"), bot_name, self.team_id, bot_id=self.ids.next("B"), app_id=self.app_id)
        self.users: dict[str, User] = {self.bot.id: self.bot}
        self.channels: dict[str, Channel] = {}
        self.interactions: list[Interaction] = []
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.files: dict[str, bytes] = {}
        self.uploads: dict[str, str] = {}
        self.url = ""
        self.emit: Emit = lambda kind, event, channel=None: None
        self.interact: Interact = lambda kind, payload, interaction: None
        self.issue_url: Callable[[], str] = str
        self.is_socket_mode_off = False
        self.manifest: dict[str, Any] = {}  # the app's own, as its settings show it
        self.deletes_customized = False
        self._waiting: set[asyncio.Future[None]] = set()

    def next_ts(self) -> str:
        return self._timestamps.next()

    # what changes wakes those who wait

    def touch(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def wait_for(self, condition: Callable[[], T], timeout: float, describe: Callable[[], str]) -> T:
        """The first true value of `condition`, which is asked again after every change in this world."""
        try:
            async with asyncio.timeout(timeout):
                while not (value := condition()):
                    waiting = asyncio.get_running_loop().create_future()
                    self._waiting.add(waiting)
                    await waiting
                return value
        except TimeoutError:
            raise AssertionError(f"waited {timeout} s in vain; there was\n{describe()}") from None

    # what is there

    def new_channel(self, kind: str, name: str = "", members: list[User] | None = None) -> Channel:
        letter = "D" if kind == "im" else "C"
        channel = Channel(self, self.ids.next(letter), kind, name, list(members or []))
        self.channels[channel.id] = channel
        return channel

    def dm_with(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.kind == "im" and user in channel.members and channel.has_bot:
                return channel
        return self.new_channel("im", members=[user, self.bot])

    def join(self, channel: Channel, user: User) -> None:
        if user in channel.members:
            return
        channel.members.append(user)
        if channel.kind != "im":
            event = {"user": user.id, "channel": channel.id, "channel_type": channel.id[0], "team": self.team_id}
            self.emit("member_joined_channel", event, channel)
        self.touch()

    def leave(self, channel: Channel, user: User) -> None:
        if user not in channel.members:
            return
        event = {"user": user.id, "channel": channel.id, "channel_type": channel.id[0], "team": self.team_id}
        self.emit("member_left_channel", event, channel)
        if user is self.bot:
            self.emit(f"{channel.kind}_left", {"channel": channel.id, "actor_id": user.id}, channel)
        channel.members.remove(user)
        self.touch()

    def note_reply(self, user: User, channel: Channel, message: Message) -> None:
        """What the bot says to one person alone answers what that person did there last."""
        found = [one for one in self.interactions if one.user is user and one.channel in (channel, None)]
        if found:
            found[-1].replies.append(message)
            self.touch()

    # what the bot finds; each raises what Slack answers

    def channel_for_bot(self, channel_id: Any) -> Channel:
        """A channel that the bot can see: private ones only from inside."""
        channel = self.channels.get(str(channel_id))
        if channel is None and str(channel_id) in self.users:
            channel = self.dm_with(self.users[str(channel_id)])
        if channel is None or (channel.kind != "channel" and not channel.has_bot):
            raise Refusal("channel_not_found")
        return channel

    def channel_to_write(self, channel_id: Any, *, is_public_enough: bool) -> Channel:
        """A channel the bot may post in: as a member, or in any public one with chat:write.public."""
        channel = self.channel_for_bot(channel_id)
        if channel.is_archived:
            raise Refusal("is_archived")
        if not channel.has_bot and not is_public_enough:
            raise Refusal("not_in_channel")
        return channel
