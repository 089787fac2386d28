"""A Discord of one's own for tests: REST v10 and the gateway over real sockets, for stock discord.py.

    async with FakeDiscord() as fake:  # options: bot_name, token, shards, message_content, server_members, behind_s
        guild = fake.add_guild("harbour"); channel = guild.add_channel("general"); ann = fake.add_person("ann")
        question = await ann.says(channel, "ahoy", mentions_bot=True)       # reply_to=, ping=, files=
        answer = await channel.wait_for(lambda messages: messages[-1] if len(messages) > 1 else None)
        fake.check_contract()

What the product must do with the API's address (`fake.url`) and `fake.token`:
  * `discord.http.Route.BASE = url` before it logs in; webhooks and interactions use it too.
  * An AutoShardedClient without shard_count asks GET /gateway/bot. But after a session that can't be resumed, or with
    a shard_count of its own, discord.py goes to `discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY`: where the address
    is not Discord's, set that to the `url` of GET /gateway (in setup_hook: `await client.http.get_bot_gateway()`).
  * `guild_ready_timeout` (2 s) delays on_ready, not messages; before_identify_hook sleeps 5 s before a later IDENTIFY.
  Pictures of users come from `discord.asset.Asset.BASE`.

World: add_guild(name, with_bot=True), add_person(name, bot=False); guild.add_channel, grant(person, *permissions),
forbid_bot, allow_bot, remove_bot, invite_bot; channel.forbid_bot, delete, archive, expel; webhook.delete
(fake.webhooks); fake.unfurl(message); fake.dm_between(a, b) is a DM without the bot.
People: says, forwards, sends_a_sticker, speaks, asks_all (a poll), edits, deletes, reacts, unreacts, clears_reactions,
begins_typing, starts_thread, opens_dm, closes_dms, installs_the_app, leaves;
uses(command, in_, **options), uses_on(message, name), types(command, option, partial, in_)
-> choices, presses(message, label | emoji | custom_id), picks(message, *values), submits(interaction, **fields),
sees(channel).
Observe: channel.messages / from_bot / everything / typing / wait_for / wait_for_typing; message.text, versions, edits,
pings, reactions, buttons, only_for, loading; interaction.wait_reply / wait_modal / wait_acknowledged, reply, replies,
response, acknowledged_after; fake.requests, requests_of, application.command_writes, application.commands, wait_for.
Faults: fake.faults.refuse(method, pattern, status, times, retry_after, by_cloudflare) / hang / cut / lose_answer;
fake.pass_time(s) (3 s to acknowledge, 15 min of a token; `behind_s` is how much too early it is at first),
interaction.expire(); fake.rate_limits.turn_on(), .refused; fake.old_edits.refused; fake.gateway.drop,
ask_reconnect, invalidate, forget_sessions, hold / release, duplicate("*"), wait_connected, wait_resumed.
Pings: leaving `async with` fails where a message notified somebody, or might have with other words (check_pings).
Contract: requests and answers are held against Discord's OpenAPI file (contract.py); fake.contract is None without it.
"""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import secrets
from collections.abc import Callable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.fakes.fake_discord import (
    board,
    rest_application,
    rest_channels,
    rest_commands,
    rest_guilds,
    rest_interactions,
    rest_messages,
    rest_webhooks,
)
from tests.fakes.fake_discord.channels import DM, Channel
from tests.fakes.fake_discord.contract import load_contract
from tests.fakes.fake_discord.gateway import Gateway
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.interactions import Interaction
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.pings import may_ping
from tests.fakes.fake_discord.rest import PREFIX, LoggedRequest, Rest
from tests.fakes.fake_discord.webhooks import Webhook
from tests.fakes.fake_discord.world import World
from tests.running.patience import TIMEOUT_S

T = TypeVar("T")
# Importing these registers their routes.
PARTS = (rest_application, rest_channels, rest_commands, rest_guilds, rest_interactions, rest_messages, rest_webhooks)


class FakeDiscord:
    def __init__(
        self, bot_name: str = "personas", token: str | None = None, shards: int = 1, message_content: bool = False,
        server_members: bool = False, behind_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.world = World(bot_name, behind_s)
        self.world.shards = shards
        self.application = self.world.application
        self.application.message_content = message_content
        self.application.server_members = server_members
        self.bot = self.world.bot
        self.token = token or f"fake.{secrets.token_urlsafe(32)}"
        self.contract = load_contract()
        self.gateway = Gateway(self.world, self.token)
        self.world.interact = self.gateway.interact
        self._rest = Rest(self.world, self.token, self.contract)
        self.faults = self._rest.faults
        self.rate_limits = self._rest.rate_limits
        self.old_edits = self.world.old_edits
        self.requests: list[LoggedRequest] = self._rest.requests
        self.unknown_requests = self._rest.unknown
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if kind is None:
            self.check_pings()

    async def start(self) -> None:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_get("/cdn/attachments/{attachment_id}/{name}", self._attachment)
        self._rest.add_to(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.world.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.faults.clear()
        self.gateway.release()
        await self.gateway.drop(code=1001)
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """What the bot is told: the base of the API."""
        return self.world.url + PREFIX

    async def _attachment(self, request: web.Request) -> web.Response:
        content = self.world.uploads.get(int(request.match_info["attachment_id"]))
        return web.Response(status=404) if content is None else web.Response(body=content)

    # the world

    def add_guild(self, name: str = "harbour", with_bot: bool = True) -> Guild:
        owner = self.world.users.setdefault(self.application.owner.id, self.application.owner)
        guild = Guild(self.world, name, owner, with_bot)
        self.world.guilds[guild.id] = guild
        if with_bot:
            self.world.emit("GUILD_CREATE", guild.full_payload(), guild=guild)
        return guild

    def add_person(self, name: str, bot: bool = False) -> Person:
        person = Person(self.world, name, bot)
        self.world.users[person.id] = person
        return person

    def dm_between(self, *people: Person) -> Channel:
        """A private conversation that the bot is no part of; user-installed commands work in it."""
        return self.world.new_channel(DM, recipients=list(people))

    @property
    def webhooks(self) -> list[Webhook]:
        return list(self.world.webhooks.values())

    @property
    def interactions(self) -> list[Interaction]:
        return list(self.world.interactions.values())

    def unfurl(self, message: Message) -> None:
        """What Discord does to a message with a link a moment later: an update that is no edit."""
        board.edit(message, silently=True, embeds=[{"type": "link", "title": "a page"}])

    def pass_time(self, seconds: float) -> None:
        """Moves the fake's clock on; tokens age, nobody waits."""
        self.world.clock.advance(seconds)

    # observing

    def requests_of(self, method: str, path: str = "*") -> list[LoggedRequest]:
        """Requests by method and a pattern of paths such as "/channels/*/messages"."""
        return [one for one in self.requests if one.method == method and fnmatchcase(one.path, path)]

    async def wait_for(self, condition: Callable[[], T], timeout: float = TIMEOUT_S) -> T:
        """Waits until something in this world is so, and returns its value."""
        return await self.world.wait_for(condition, timeout, self._last_requests)

    def _last_requests(self) -> str:
        lines = [f"{one.method} {one.path} -> {one.status}" for one in self.requests[-15:]]
        return "the last requests:\n" + "\n".join(lines)

    def all_pings(self) -> list[Message]:
        """The bot's messages that notified somebody."""
        everything: list[Any] = [message for channel in self.world.channels.values() for message in channel.everything]
        return [message for message in everything if message.is_bots_own and message.pings]

    def check_pings(self) -> None:
        """Raises AssertionError for every message that notified somebody, and every request whose text might have."""
        lines = [f"{message.pings} by{message.line()}" for message in self.all_pings()]
        lines += [
            f"{one.method} {one.path} forbids no mentions: {one.body}"
            for one in self.requests if may_ping(one.method, one.route, one.body)
        ]  # fmt: skip
        assert not lines, "\n".join(lines)

    def check_contract(self) -> None:
        """Raises AssertionError for every request or answer that Discord's description does not allow."""
        assert not self.unknown_requests, f"requests the fake does not know: {self.unknown_requests}"
        if self.contract is not None:
            self.contract.check()
