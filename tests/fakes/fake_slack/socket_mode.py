"""Socket Mode: websockets that apps open, and the envelopes that go through them until they are acknowledged.

https://docs.slack.dev/apis/events-api/using-socket-mode
"""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.fake_slack.world import World
from tests.running.patience import TIMEOUT_S

EVENTS, INTERACTIVE, SLASH = "events_api", "interactive", "slash_commands"
ACKNOWLEDGE_S = 3.0
MAX_RETRIES = 3


@dataclass(eq=False)
class Envelope:
    """One delivery. `attempts` counts how often it went out; `sent_at` is on the clock that tests move."""

    id: str
    kind: str
    payload: dict[str, Any]
    attempts: int = 0
    sent_at: float = 0.0
    is_acknowledged: bool = False
    is_given_up: bool = False
    response: Any = None
    retry_reason: str | None = None

    @property
    def event(self) -> dict[str, Any]:
        """The event inside, empty for commands and presses."""
        found: dict[str, Any] = self.payload.get("event", {})
        return found

    @property
    def is_waiting(self) -> bool:
        return not self.is_acknowledged and not self.is_given_up

    def frame(self) -> dict[str, Any]:
        shown = {
            "envelope_id": self.id, "type": self.kind, "payload": self.payload,
            "accepts_response_payload": self.kind != EVENTS,
        }  # fmt: skip
        if self.kind == EVENTS:
            shown["retry_attempt"] = self.attempts - 1
            shown["retry_reason"] = self.retry_reason or ""
        return shown


class SocketMode:
    """`envelopes` is everything that was ever sent or waits to be."""

    def __init__(self, world: World, on_acknowledged: Callable[[Envelope], None]) -> None:
        self.world = world
        self._on_acknowledged = on_acknowledged
        self.envelopes: list[Envelope] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.doubles: tuple[str, ...] = ()
        self._acks_to_lose = 0
        self._is_held = False
        self._tickets: set[str] = set()
        self._waiting: list[Envelope] = []
        self._wakened = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._sender = asyncio.create_task(self._send_all())

    async def stop(self) -> None:
        for socket in list(self.sockets):
            await socket.close(code=1001)
        if self._sender is not None:
            self._sender.cancel()
            with suppress(asyncio.CancelledError):
                await self._sender

    def issue_url(self) -> str:
        """Where one socket may be opened, once."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return f"{self.world.url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={self.world.app_id}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("ticket") not in self._tickets:
            return web.Response(status=401)
        self._tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        hello = {
            "type": "hello", "num_connections": len(self.sockets) + 1, "connection_info": {"app_id": self.world.app_id},
            "debug_info": {"host": "applink", "build_number": 1, "approximate_connection_time": 18060},
        }  # fmt: skip
        await socket.send_json(hello)
        self.sockets.append(socket)
        self._wakened.set()
        self.world.touch()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acknowledge(json.loads(message.data))
        finally:
            self.sockets.remove(socket)
            self.world.touch()
        return socket

    # out

    def send(self, kind: str, payload: dict[str, Any]) -> Envelope:
        """Hands an envelope to the next open socket, or keeps it until there is one."""
        envelope = self._enqueue(Envelope(secrets.token_hex(8), kind, payload))
        name = payload.get("event", {}).get("type", kind)
        if any(fnmatchcase(name, pattern) for pattern in self.doubles):
            self._enqueue(Envelope(secrets.token_hex(8), kind, payload))
        return envelope

    def redeliver(self, envelope: Envelope, reason: str = "timeout") -> None:
        """The same event once more, as Slack does after three seconds without a word."""
        envelope.retry_reason = reason
        self._waiting.append(envelope)
        self._wakened.set()

    def retry_overdue(self) -> None:
        """What time has brought: events go out again, commands and presses have failed for their person."""
        for envelope in self.envelopes:
            if not envelope.is_waiting or not envelope.attempts or envelope in self._waiting:
                continue
            if self.world.clock.added - envelope.sent_at < ACKNOWLEDGE_S:
                continue
            if envelope.kind == EVENTS and envelope.attempts <= MAX_RETRIES:
                self.redeliver(envelope)
            else:
                envelope.is_given_up = True

    def _enqueue(self, envelope: Envelope) -> Envelope:
        self.envelopes.append(envelope)
        self._waiting.append(envelope)
        self._wakened.set()
        return envelope

    async def _send_all(self) -> None:
        """One writer, so that frames keep their order."""
        while True:
            await self._wakened.wait()
            self._wakened.clear()
            while self._waiting and self.sockets and not self._is_held:
                envelope = self._waiting.pop(0)
                envelope.attempts += 1
                envelope.sent_at = self.world.clock.added
                try:
                    await self.sockets[-1].send_json(envelope.frame())
                except (ConnectionError, RuntimeError):  # it closed a moment ago
                    envelope.attempts -= 1
                    self._waiting.insert(0, envelope)
                    break

    # in

    def _acknowledge(self, frame: dict[str, Any]) -> None:
        envelope = next((one for one in self.envelopes if one.id == frame.get("envelope_id")), None)
        if envelope is None:
            return
        if self._acks_to_lose > 0:
            self._acks_to_lose -= 1
            return
        if envelope.is_waiting:
            envelope.is_acknowledged = True
            envelope.response = frame.get("payload")
            self._on_acknowledged(envelope)
        self.world.touch()

    # trouble

    def lose_acknowledgements(self, times: int = 1) -> None:
        """The next acknowledgements do not arrive."""
        self._acks_to_lose = times

    def give_up(self) -> None:
        """What waits for a socket never goes out: Slack keeps no event for long."""
        for envelope in self._waiting:
            envelope.is_given_up = True
        self._waiting.clear()

    def hold(self) -> None:
        """Nothing goes out before `release`."""
        self._is_held = True

    def release(self) -> None:
        self._is_held = False
        self._wakened.set()

    async def drop(self) -> None:
        """Every socket closes, as when the network changes; what was not acknowledged goes out again later."""
        for socket in list(self.sockets):
            await socket.close(code=1001)
        for envelope in self.envelopes:
            if envelope.is_waiting and envelope.attempts and envelope.kind == EVENTS and envelope not in self._waiting:
                self.redeliver(envelope)

    async def ask_reconnect(self, reason: str = "refresh_requested") -> None:
        """Slack wants a new socket: `refresh_requested`, `warning` or `link_disabled`. The old one stays open."""
        frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink"}}
        for socket in list(self.sockets):
            await socket.send_json(frame)

    async def wait_connected(self, connections: int = 1, timeout: float = TIMEOUT_S) -> None:
        """Once so many sockets have been opened since the beginning, and one is open."""
        await self.world.wait_for(
            lambda: self.sockets and self.connections >= connections, timeout,
            lambda: f"{self.connections} connections so far, {len(self.sockets)} open",
        )  # fmt: skip

    async def wait_acknowledged(self, timeout: float = TIMEOUT_S) -> None:
        """Once nothing that was sent waits for a word."""
        await self.world.wait_for(
            lambda: not any(one.is_waiting for one in self.envelopes), timeout,
            lambda: "\n".join(f"{one.kind} {one.event.get('type')}" for one in self.envelopes if one.is_waiting),
        )  # fmt: skip
