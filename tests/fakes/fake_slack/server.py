"""A Slack of one's own for tests: Web API and Socket Mode over real sockets, for stock slack-sdk and slack-bolt.

    async with FakeSlack() as fake:  # options: bot_name, scopes
        channel = fake.add_channel("general"); ann = fake.add_person("ann")
        question = await ann.says(channel, "ahoy", mentions_bot=True)   # into a thread: ann.says(message, ...)
        answer = await channel.wait_for(lambda messages: messages[-1] if len(messages) > 1 else None)
        fake.check_contract()

What the product is told: `fake.url` (ends /api/), `fake.bot_token`, `fake.app_token`. The websocket's address comes
from apps.connections.open, that of responses with each interaction. Base URL and token of an AsyncWebClient are enough:
    client = AsyncWebClient(fake.bot_token, base_url=fake.url)
    handler = AsyncSocketModeHandler(AsyncApp(client=client), fake.app_token, web_client=client)

World: add_channel(name, private=False, with_bot=True), add_person(name, is_bot=, is_admin=); channel.invite_bot,
remove_bot, archive, delete; fake.dm_between(a, b) is a DM without the bot; fake.unfurl(message); fake.uninstall(),
fake.revoke_token(error). `fake.scopes` and `fake.events.subscribed` are sets that tests change; what the app's settings
are is `fake.world.manifest`, which `fake.api.config_token` may read.
People: says (into a channel, or a message's thread), shares, edits, deletes, reacts, unreacts, stops, joins, leaves,
opens_dm, opens_home(tab), uses(command, text, in_=channel), uses_on(message, callback_id), presses(message or view,
label or action_id), picks(where, action_id, value), submits(view, **fields), closes(view), home, sees(channel).
Observe: channel.messages / from_bot / ephemeral / everything / thread(message) / status_of / prompts / wait_for;
message.content, everything, versions, buttons, name, is_streaming, pings, unfurls, only_for; view.content, buttons,
errors; interaction.wait_reply / wait_modal / wait_acknowledged, replies, response; fake.calls, calls_of("chat.*"),
fake.socket.envelopes, wait_acknowledged, wait_connected, wait_for.
Faults: fake.faults.refuse(method, error, times) / rate_limit / break_down / hang / cut / lose_answer; fake.socket.drop,
ask_reconnect(reason), lose_acknowledgements, doubles = ("app_mention",), hold / release, redeliver(envelope);
fake.pass_time(s) (3 s to acknowledge, then again with retry_attempt; 300 s of a stream; 30 min of a response URL);
fake.rate_limits.turn_on(), .refused; fake.deletes_customized.
Where Slack's behaviour is not documented, the fake takes the side that is harder for a bot: a message that was posted
under another name shows the app's own after chat.update, and cannot be deleted unless `deletes_customized` is set.
Pings: leaving `async with` fails where a message of the bot could have called somebody, or a link may be unfurled.
Contract: calls, answers and events are held against Slack's descriptions (contract.py); None without them.
"""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import secrets
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

from tests.fakes.fake_slack import board, methods_app, methods_chat, methods_conversations, methods_files
from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.contract import load_contract
from tests.fakes.fake_slack.events import AppEvents
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.responses import Responses
from tests.fakes.fake_slack.socket_mode import SocketMode
from tests.fakes.fake_slack.web_api import LoggedCall, WebApi
from tests.fakes.fake_slack.world import World
from tests.running.patience import TIMEOUT_S

T = TypeVar("T")
SCOPES = (
    "app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write", "chat:write.customize",
    "commands", "files:read", "files:write", "groups:history", "groups:read", "im:history", "im:read", "im:write",
    "reactions:read", "reactions:write", "users:read",
)  # fmt: skip
PARTS = (methods_app, methods_chat, methods_conversations, methods_files)
METHODS = {name: method for part in PARTS for name, method in part.METHODS.items()}


class FakeSlack:
    def __init__(self, bot_name: str = "personas", scopes: tuple[str, ...] = SCOPES) -> None:
        self.world = World(bot_name)
        self.bot = self.world.bot
        self.scopes = set(scopes)
        self.bot_token = f"xoxb-{secrets.token_hex(16)}"
        self.app_token = f"xapp-1-{secrets.token_hex(16)}"
        self.contract = load_contract()
        self.responses = Responses(self.world)
        self.socket = SocketMode(self.world, self.responses.acknowledged)
        self.events = AppEvents(self.world, self.socket, self.scopes, self.contract)
        self.api = WebApi(self.world, METHODS, self.bot_token, self.app_token, self.scopes, self.contract)
        self.faults = self.api.faults
        self.rate_limits = self.api.rate_limits
        self.calls: list[LoggedCall] = self.api.calls
        self.world.emit = self.events.emit
        self.world.interact = self.events.interact
        self.world.issue_url = self.socket.issue_url
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
        app.router.add_get("/link/", self.socket.serve)
        app.router.add_post("/response/{key}", self.responses.serve)
        app.router.add_get("/files/{file_id}/{rest:.*}", self._file)
        app.router.add_post("/upload/{file_id}", partial(methods_files.receive, self.world))
        app.router.add_route("*", "/api/{method}", self.api.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.world.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.socket.start()

    async def stop(self) -> None:
        self.faults.clear()
        await self.socket.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """What the bot is told: the base of the Web API."""
        return f"{self.world.url}/api/"

    async def _file(self, request: web.Request) -> web.Response:
        content = self.world.files.get(request.match_info["file_id"])
        is_allowed = request.headers.get("Authorization") == f"Bearer {self.bot_token}" and "files:read" in self.scopes
        if content is None or not is_allowed:  # Slack shows its login page
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        return web.Response(body=content)

    # the world

    def add_channel(self, name: str = "general", *, private: bool = False, with_bot: bool = True) -> Channel:
        channel = self.world.new_channel("group" if private else "channel", name)
        if with_bot:
            self.world.join(channel, self.bot)
        return channel

    def add_person(self, name: str, *, is_bot: bool = False, is_admin: bool = False) -> Person:
        person = Person(self.world, name, is_bot=is_bot, is_admin=is_admin)
        self.world.users[person.id] = person
        return person

    def dm_between(self, *people: Person) -> Channel:
        """A private conversation that the bot is no part of."""
        return self.world.new_channel("im", members=list(people))

    @property
    def deletes_customized(self) -> bool:
        """Whether the bot may delete what it posted under another name."""
        return self.world.deletes_customized

    @deletes_customized.setter
    def deletes_customized(self, value: bool) -> None:
        self.world.deletes_customized = value

    def unfurl(self, message: Message) -> None:
        """What Slack does to a message with a link a moment later: a change that is no edit."""
        board.edit(message, silently=True, attachments=[{"id": 1, "title": "a page", "from_url": "https://a.example"}])

    def uninstall(self) -> None:
        """An admin removes the app: its tokens die, and two events say so in no certain order."""
        self.world.emit("tokens_revoked", {"tokens": {"oauth": [], "bot": [self.bot.id]}})
        self.world.emit("app_uninstalled", {})
        self.api.revoked = "account_inactive"

    def revoke_token(self, error: str = "token_revoked") -> None:
        """From now on every call is answered with this."""
        self.api.revoked = error

    def pass_time(self, seconds: float) -> None:
        """Moves the fake's clock on; streams end, and what nobody acknowledged goes out again."""
        self.world.clock.advance(seconds)
        self.socket.retry_overdue()
        self.world.touch()

    # observing

    def calls_of(self, method: str) -> list[LoggedCall]:
        """Calls by a pattern of methods such as "chat.*"."""
        return [one for one in self.calls if fnmatchcase(one.method, method)]

    async def wait_for(self, condition: Callable[[], T], timeout: float = TIMEOUT_S) -> T:
        """Waits until something in this world is so, and returns its value."""
        return await self.world.wait_for(condition, timeout, self._last_calls)

    def _last_calls(self) -> str:
        lines = [f"{one.method} -> {one.status} {one.error or ''}" for one in self.calls[-15:]]
        return "the last calls:\n" + "\n".join(lines)

    def _from_bot(self) -> list[Message]:
        everything = [one for channel in self.world.channels.values() for one in channel.everything]
        return [one for one in everything if one.author is self.bot]

    def all_pings(self) -> list[Message]:
        """The bot's messages that called somebody, or would have called whoever has that name."""
        return [one for one in self._from_bot() if one.pings]

    def all_unfurls(self) -> list[Message]:
        """The bot's messages with links of which Slack may show a preview."""
        return [one for one in self._from_bot() if one.unfurls]

    def check_pings(self) -> None:
        """Raises AssertionError for every message that could have called somebody, or shown a preview."""
        lines = [f"calls {one.pings}:{one.line()}" for one in self.all_pings()]
        lines += [f"unfurls {one.unfurls}:{one.line()}" for one in self.all_unfurls()]
        assert not lines, "\n".join(lines)

    def check_contract(self) -> None:
        """Raises AssertionError for every call or answer that Slack's descriptions do not allow."""
        assert not self.api.unknown, f"methods the fake does not know: {self.api.unknown}"
        assert not self.responses.refused, f"acknowledgements that Slack refuses: {self.responses.refused}"
        if self.contract is not None:
            self.contract.check()
