"""The gateway: HELLO, IDENTIFY, RESUME, heartbeats, and every event to the sessions that asked for it."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.sessions import GUILD_MEMBERS, GUILD_PRESENCES, MESSAGE_CONTENT, Session
from tests.fakes.fake_discord.users import User
from tests.fakes.fake_discord.world import World
from tests.running.patience import TIMEOUT_S

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, REQUEST_MEMBERS, INVALID, HELLO, ACK = 0, 1, 2, 6, 7, 8, 9, 10, 11


class Gateway:
    """What tests use: `drop`, `ask_reconnect`, `invalidate`, `forget_sessions`, `hold`/`release`, `duplicate`,
    `acknowledge_heartbeats`, `wait_connected`, and the counts `identified`, `resumed`, `delivered[event]`."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.token = token
        self.heartbeat_interval_ms = 41_250
        self.acknowledge_heartbeats = True
        self.sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        self.heartbeats = 0
        self.delivered: Counter[str] = Counter()
        self.presences: list[dict[str, Any]] = []
        self._twice: set[str] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._sockets: dict[web.WebSocketResponse, tuple[web.Request, Session | None]] = {}
        world.emit = self.emit

    # faults at will

    def duplicate(self, *events: str) -> None:
        """From now on these events arrive twice; "*" stands for all, and nothing ends it."""
        self._twice = set(events)

    async def drop(self, code: int | None = None) -> None:
        """Cuts every socket off as a broken line does, or closes it with a code. The sessions live on."""
        for socket, (request, session) in list(self._sockets.items()):
            if session is not None:
                session.connected = False
            if code is None and request.transport is not None:
                request.transport.abort()
            else:
                await socket.close(code=code or 1000)

    async def ask_reconnect(self) -> None:
        for socket in list(self._sockets):
            await _send(socket, {"op": RECONNECT, "d": None})

    async def invalidate(self, resumable: bool = False) -> None:
        if not resumable:
            self.forget_sessions()
        for socket in list(self._sockets):
            await _send(socket, {"op": INVALID, "d": resumable})

    def forget_sessions(self) -> None:
        """The next RESUME is answered with INVALID_SESSION; what happens meanwhile is lost."""
        self.sessions.clear()

    def hold(self) -> None:
        """New connections get no HELLO until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def wait_connected(self, shards: int | None = None, timeout: float = TIMEOUT_S) -> None:
        wanted = shards or self.world.shards

        def connected() -> bool:
            return sum(session.connected for session in self.sessions.values()) >= wanted

        await self.world.wait_for(connected, timeout, lambda: f"sessions: {self.sessions}")

    async def wait_resumed(self, count: int = 1, timeout: float = TIMEOUT_S) -> None:
        await self.world.wait_for(lambda: self.resumed >= count, timeout, lambda: f"resumed {self.resumed} times")

    # events

    def emit(
        self, event: str, data: dict[str, Any] | Callable[[bool], dict[str, Any]], *,
        channel: Channel | None = None, guild: Guild | None = None, of: User | None = None,
    ) -> None:  # fmt: skip
        """Gives an event to every session that may see it. `data` may depend on whether it reads message content."""
        where = guild or (channel.guild if channel else None)
        if where is not None and not where.with_bot:
            return
        if channel is not None and channel.id in self.world.channels and not channel.seen_by(self.world.bot):
            return
        for session in self.sessions.values():
            if not session.wants(event, where.id if where else None, of is self.world.bot):
                continue
            reads = bool(session.intents & MESSAGE_CONTENT)
            self._put(session, event, data(reads) if callable(data) else data)
        self.world.touch()

    def interact(self, data: dict[str, Any], guild: Guild | None) -> None:
        """Interactions reach the bot wherever they happen, in guilds it is no member of and in strangers' DMs too."""
        for session in self.sessions.values():
            if session.wants("INTERACTION_CREATE", guild.id if guild else None, False):
                self._put(session, "INTERACTION_CREATE", data)

    def _put(self, session: Session, event: str, data: dict[str, Any]) -> None:
        for _ in range(2 if self._twice & {event, "*"} else 1):
            session.put(event, data)
            self.delivered[event] += 1

    # the protocol

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, timeout=0.1)
        await socket.prepare(request)
        self._sockets[socket] = (request, None)
        pump: asyncio.Task[None] | None = None
        try:
            await self._open.wait()
            await _send(socket, {"op": HELLO, "s": None, "d": {"heartbeat_interval": self.heartbeat_interval_ms}})
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                session = await self._receive(socket, json.loads(message.data))
                if session is not None:
                    self._sockets[socket] = (request, session)
                    session.socket = socket
                    pump = asyncio.create_task(self._pump(socket, session))
        finally:
            await self._end(socket, pump)
        return socket

    async def _end(self, socket: web.WebSocketResponse, pump: asyncio.Task[None] | None) -> None:
        if pump is not None:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
        _, session = self._sockets.pop(socket)
        others = [other for _, other in self._sockets.values()]
        if session is not None and session not in others:
            session.connected = False
            if socket.close_code in (1000, 1001):
                self.sessions.pop(session.id, None)
        self.world.touch()

    async def _receive(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> Session | None:
        op, data = frame["op"], frame.get("d")
        if op == HEARTBEAT:
            self.heartbeats += 1
            if self.acknowledge_heartbeats:
                await _send(socket, {"op": ACK, "d": None})
        elif op == IDENTIFY:
            return await self._identify(socket, data)
        elif op == RESUME:
            return await self._resume(socket, data)
        elif op == REQUEST_MEMBERS:
            self._send_members(data)
        elif op == 3:
            self.presences.append(data)
        return None

    async def _identify(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> Session | None:
        application = self.world.application
        allowed = {
            GUILD_MEMBERS: application.server_members, GUILD_PRESENCES: application.presences,
            MESSAGE_CONTENT: application.message_content,
        }  # fmt: skip
        if data["token"] != self.token:
            await socket.close(code=4004, message=b"Authentication failed.")
            return None
        if any(data["intents"] & intent and not given for intent, given in allowed.items()):
            await socket.close(code=4014, message=b"Disallowed intent(s).")
            return None
        shard, shards = data.get("shard", [0, 1])
        for old in [old for old in self.sessions.values() if old.shard == shard and not old.connected]:
            self.sessions.pop(old.id)
        session = Session(data["intents"], shard, shards)
        self.sessions[session.id] = session
        self.identified += 1
        self._greet(session)
        self.world.touch()
        return session

    def _greet(self, session: Session) -> None:
        world = self.world
        joined = [guild for guild in world.guilds.values() if guild.with_bot]
        guilds = [guild for guild in joined if session.wants("GUILD_CREATE", guild.id, False)]
        session.put("READY", {
            "v": 10, "user": world.bot.own_payload(), "session_id": session.id,
            "shard": [session.shard, session.shards],
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "resume_gateway_url": world.gateway_url, "private_channels": [],
            "application": {"id": str(world.application.id), "flags": world.application.flags},
        })  # fmt: skip
        for guild in guilds:
            # `unavailable` tells a guild that was there at READY from one that the bot joins.
            session.put("GUILD_CREATE", {**guild.full_payload(), "unavailable": False})

    async def _resume(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if data["token"] != self.token:
            await socket.close(code=4004, message=b"Authentication failed.")
            return None
        if session is None or data["seq"] is None or data["seq"] > len(session.sent):
            await _send(socket, {"op": INVALID, "d": False})
            return None
        session.cursor = data["seq"]
        session.connected = True
        session.put("RESUMED", {"_trace": []})
        self.resumed += 1
        self.world.touch()
        return session

    def _send_members(self, data: dict[str, Any]) -> None:
        guild = self.world.guilds[int(data["guild_id"])]
        members = [member.payload() for member in guild.members.values()]
        wanted = {str(user) for user in data.get("user_ids") or []}
        found = [member for member in members if not wanted or member["user"]["id"] in wanted]
        chunk = {"guild_id": str(guild.id), "members": found, "chunk_index": 0, "chunk_count": 1}
        if data.get("nonce"):
            chunk["nonce"] = data["nonce"]
        self.emit("GUILD_MEMBERS_CHUNK", chunk, guild=guild)

    async def _pump(self, socket: web.WebSocketResponse, session: Session) -> None:
        """Sends what the session has not had, in order, until the socket ends. A later RESUME goes on from there."""
        with contextlib.suppress(ConnectionError):
            while session.socket is socket and not socket.closed:
                session.wake.clear()
                while session.socket is socket and session.cursor < len(session.sent):
                    frame = session.sent[session.cursor]
                    session.cursor += 1
                    await socket.send_str(json.dumps(frame))
                await session.wake.wait()


async def _send(socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.send_str(json.dumps(frame))
