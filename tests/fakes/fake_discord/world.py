"""Everything that exists at the fake, as plain state. Knows no sockets: events leave through `emit`."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tests.fakes.fake_discord.application import Application
from tests.fakes.fake_discord.channels import DM, Channel
from tests.fakes.fake_discord.clock import Clock, Snowflakes
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.interactions import Interaction
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.rate_limits import OldEdits
from tests.fakes.fake_discord.refusals import missing_access, unknown
from tests.fakes.fake_discord.users import User
from tests.fakes.fake_discord.webhooks import Webhook

T = TypeVar("T")
Emit = Callable[..., None]


class World:
    """Guilds, channels, messages, webhooks, interactions and accounts of one fake Discord."""

    def __init__(self, bot_name: str, behind_s: float) -> None:
        self.clock = Clock(behind_s)
        self.old_edits = OldEdits(self.clock.now)
        self._snowflakes = Snowflakes(self.clock)
        self.application = Application(self, self.next_id(), bot_name)
        self.bot = User(self.next_id(), bot_name, bot=True)
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, Message] = {}
        self.webhooks: dict[int, Webhook] = {}
        self.interactions: dict[str, Interaction] = {}
        self.uploads: dict[int, bytes] = {}
        self.nonces: dict[tuple[int, str], Message] = {}
        self.emit: Emit = lambda *_, **__: None
        self.interact: Emit = lambda *_, **__: None
        self.url = ""
        self.shards = 1
        self._waiting: set[asyncio.Future[None]] = set()

    def next_id(self) -> int:
        return self._snowflakes.next()

    @property
    def gateway_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/gateway"

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

    def new_channel(self, kind: int, channel_id: int | None = None, **more: Any) -> Channel:
        channel = Channel(self, channel_id or self.next_id(), kind, **more)
        self.channels[channel.id] = channel
        if channel.guild is not None:
            (channel.guild.threads if channel.is_thread else channel.guild.channels)[channel.id] = channel
        return channel

    def remove_channel(self, channel: Channel) -> None:
        """With its threads and messages, of which Discord says nothing of their own."""
        assert channel.guild is not None
        inside = [thread for thread in channel.guild.threads.values() if thread.parent is channel]
        for thread in inside:
            self.remove_channel(thread)
        kind = "THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE"
        self.emit(kind, channel.payload(), channel=channel)
        for message in channel.everything:
            self.messages.pop(message.id, None)
        self.webhooks = {key: hook for key, hook in self.webhooks.items() if hook.channel is not channel}
        self.channels.pop(channel.id)
        (channel.guild.threads if channel.is_thread else channel.guild.channels).pop(channel.id)
        self.touch()

    def dm_with(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.kind == DM and user in channel.recipients:
                return channel
        channel = self.new_channel(DM, recipients=[self.bot, user])
        self.emit("CHANNEL_CREATE", channel.payload(), channel=channel)
        return channel

    # what the bot finds; each raises what Discord answers

    def channel_for_bot(self, channel_id: str) -> Channel:
        channel = self.channels.get(number(channel_id))
        if channel is None:
            raise unknown("Channel")
        if not channel.seen_by(self.bot):
            raise missing_access()
        return channel

    def guild_for_bot(self, guild_id: str) -> Guild:
        guild = self.guilds.get(number(guild_id))
        if guild is None:
            raise unknown("Guild")
        if not guild.with_bot:
            raise missing_access()
        return guild

    def message_in(self, channel: Channel, message_id: str) -> Message:
        message = self.messages.get(number(message_id))
        if message is None or message.deleted or message.channel is not channel or message.only_for is not None:
            raise unknown("Message")
        return message


def number(text: str) -> int:
    """An id of a path; what is no number is an id that nothing has."""
    return int(text) if text.isdigit() else 0
