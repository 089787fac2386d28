"""Connections with a clock on each: for the head of a request, for its body, and for a client that reads nothing.

uvicorn waits for ever, and counts a connection that has sent half a head as one that is served. Knows no routes.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bot.web.api_errors import error_body, error_response
from bot.web.bounded_http import BoundedHttp

BUSY = "The server has as many connections as it can; try again in a few seconds."
BUSY_RETRY_S = 5
MALFORMED = "The request is no valid HTTP, or its head has too many lines or its body too many pieces; send it plainly."
LATE = "The request did not come in time; send it again, faster."
PROBES = frozenset({"/healthz", "/readyz"})  # who supervises the server must not take a flood for its end


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds until a connection is closed, and how many there may be.

    `head_s` is for the whole head of a request, `body_s` for the body behind it, `read_s` for a client to read
    something of what it was sent. `requests` are answered at once, each with a connection of its own. Further
    connections, `waiting` at most, may have sent no head yet; the one that waits longest makes room for the next.
    """

    head_s: float = 10.0
    body_s: float = 40.0  # behind the body gate's, which says so to the client
    read_s: float = 60.0
    requests: int = 1000
    waiting: int = 1000


class RequestLimit:
    """Answers a request beyond the limit with 503."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        if self._served >= self._limit:
            headers = {"Retry-After": str(BUSY_RETRY_S), "Connection": "close"}
            await error_response(503, BUSY, headers=headers)(scope, receive, send)
            return
        self._served += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._served -= 1


class Connections:
    """Makes the protocol of every connection, and knows which of them wait for a head, the longest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._waiting: dict[TimedConnection, None] = {}

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> TimedConnection:
        """Stands where uvicorn expects a protocol's class."""
        return TimedConnection(self, config, server_state, app_state, _loop)

    def wait(self, connection: TimedConnection) -> None:
        self._waiting.setdefault(connection)
        if len(self._waiting) > self.limits.waiting:
            next(iter(self._waiting)).turn_away()

    def wait_no_more(self, connection: TimedConnection) -> None:
        self._waiting.pop(connection, None)


class TimedConnection(H11Protocol):
    """uvicorn's connection. Data that trickles in moves none of its clocks."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = BoundedHttp()
        self._connections = connections
        self._limits = connections.limits
        self._expected: object = None  # what the client is to send: h11's IDLE (a head) or SEND_BODY
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop(self._sending, self._reading)
        self._unset_keepalive_if_required()
        self._connections.wait_no_more(self)

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(self._limits.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._reading)

    def send_400_response(self, _msg: str) -> None:
        self.turn_away(400, MALFORMED)

    def turn_away(self, status: int = 503, sentence: str = BUSY) -> None:
        """Close a connection that has sent no head, in favour of another."""
        self._connections.wait_no_more(self)
        body = json.dumps(error_body(status, sentence)).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nretry-after: {BUSY_RETRY_S}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _look(self) -> None:
        """Set the clock for what the client is to send now, unless it runs already."""
        expected = self.conn.their_state
        if expected is self._expected:
            return
        self._expected = expected
        self._stop(self._sending)
        self._connections.wait_no_more(self)
        if expected is h11.IDLE:
            self._sending = self.loop.call_later(self._limits.head_s, self.turn_away, 408, LATE)
            self._connections.wait(self)
        elif expected is h11.SEND_BODY:
            self._sending = self.loop.call_later(self._limits.body_s, self.transport.abort)

    @staticmethod
    def _stop(*clocks: asyncio.TimerHandle | None) -> None:
        for clock in clocks:
            if clock is not None:
                clock.cancel()
