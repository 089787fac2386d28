"""What every REST request goes through: log, faults, authorization, rate limits, contract, handler, contract."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.fakes.fake_discord.contract import Contract
from tests.fakes.fake_discord.faults import Fault, Faults
from tests.fakes.fake_discord.rate_limits import RateLimits
from tests.fakes.fake_discord.refusals import Refusal, unauthorized
from tests.fakes.fake_discord.world import World

PREFIX = "/api/v10"
# These carry their own secret in the path.
OPEN = ("/webhooks/{webhook_id}/{webhook_token}", "/interactions/", "/gateway")


@dataclass(eq=False)
class Call:
    """One request as its handler sees it."""

    world: World
    ids: dict[str, str]
    query: dict[str, str]
    body: Any
    files: dict[str, tuple[str, bytes]]


@dataclass(eq=False)
class LoggedRequest:
    """One request as a test sees it afterwards. `status` is None while it hangs and where its socket was cut."""

    method: str
    path: str
    route: str
    query: dict[str, str]
    body: Any
    at: datetime
    authorization: str | None = None
    status: int | None = None
    answer: Any = None
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)


Answer = tuple[int, Any]
Handler = Callable[[Call], Awaitable[Answer]]
ROUTES: list[tuple[str, str, Handler]] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Registers a handler under the path that Discord's own description uses."""

    def register(handler: Handler) -> Handler:
        ROUTES.append((method, path, handler))
        return handler

    return register


class Rest:
    def __init__(self, world: World, token: str, contract: Contract | None) -> None:
        self.world = world
        self.token = token
        self.contract = contract
        self.faults = Faults()
        self.rate_limits = RateLimits()
        self.requests: list[LoggedRequest] = []
        self.unknown: list[str] = []

    def add_to(self, app: web.Application) -> None:
        # Literal steps before parameters, so that "@me" is no id.
        by_steps = sorted(ROUTES, key=lambda one: [step.startswith("{") for step in one[1].split("/")])
        for method, path, handler in by_steps:
            app.router.add_route(method, PREFIX + path, self._serving(path, handler))
        app.router.add_route("*", PREFIX + "/{rest:.*}", self._not_found)

    def _serving(self, path: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, path, handler)

        return serve

    async def _not_found(self, request: web.Request) -> web.Response:
        self.unknown.append(f"{request.method} {request.path}")
        return _json(404, {"message": "404: Not Found", "code": 0}, {})

    async def _serve(self, request: web.Request, path: str, handler: Handler) -> web.StreamResponse:
        body, files = await _read(request)
        ids = dict(request.match_info)
        logged = LoggedRequest(
            request.method, request.path.removeprefix(PREFIX), path, dict(request.query), body, self.world.clock.now(),
            request.headers.get("Authorization"), files=files,
        )  # fmt: skip
        self.requests.append(logged)
        self.world.touch()
        fault = self.faults.strike(logged.method, logged.path)
        if fault is not None and (early := await self._suffer(request, fault, logged)) is not None:
            return early
        call = Call(self.world, ids, logged.query, body, files)
        status, answer, headers = await self._answer(call, logged, handler)
        logged.status, logged.answer = status, answer
        self.world.touch()
        if fault is not None and fault.kind == "lose":
            return _cut(request)
        return _json(status, answer, headers)

    async def _suffer(self, request: web.Request, fault: Fault, logged: LoggedRequest) -> web.StreamResponse | None:
        """What a fault does before the request is carried out; None if it then is."""
        self.world.touch()
        if fault.kind == "hang":
            await fault.released.wait()
        if fault.kind == "cut":
            return _cut(request)
        if fault.kind == "refuse":
            status, body, headers = fault.answer()
            logged.status, logged.answer = status, body
            return _json(status, body, headers)
        return None

    async def _answer(self, call: Call, logged: LoggedRequest, handler: Handler) -> tuple[int, Any, dict[str, str]]:
        major = next((call.ids[name] for name in ("webhook_token", "channel_id", "guild_id") if name in call.ids), "")
        wait, headers = self.rate_limits.take(logged.method, logged.route, major)
        if wait is not None:
            body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": False}
            return 429, body, {**headers, "Retry-After": str(wait), "Via": "1.1 google"}
        if self.contract is not None:
            self.contract.request(logged.method, logged.route, logged.query, logged.body)
        try:
            if not logged.route.startswith(OPEN) and logged.authorization != f"Bot {self.token}":
                raise unauthorized()
            if logged.route == "/gateway/bot" and logged.authorization != f"Bot {self.token}":
                raise unauthorized()
            status, answer = await handler(call)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
            if status == 429:
                headers |= {"Retry-After": str(refusal.body["retry_after"]), "Via": "1.1 google"}
        if self.contract is not None:
            self.contract.answer(logged.method, logged.route, status, answer)
        return status, answer, headers


async def _read(request: web.Request) -> tuple[Any, dict[str, tuple[str, bytes]]]:
    """The JSON body, and the files of a multipart request by field name."""
    if request.content_type != "multipart/form-data":
        raw = await request.read()
        return (json.loads(raw) if raw else None), {}
    body: Any = None
    files: dict[str, tuple[str, bytes]] = {}
    async for part in await request.multipart():
        content = bytes(await part.read(decode=True))
        if part.name == "payload_json":
            body = json.loads(content)
        else:
            files[part.name] = (part.filename or part.name, content)
    return body, files


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    if body is None:
        return web.Response(status=status, headers=headers)
    # discord.py reads JSON only where the type is exactly this, without a charset.
    headers = {**headers, "Content-Type": "application/json"}
    return web.Response(status=status, body=json.dumps(body).encode(), headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
