"""What every call of the Web API goes through: log, faults, token, rate limit, scope, contract, handler, contract."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.fake_slack.contract import Contract
from tests.fakes.fake_slack.faults import Fault, Faults
from tests.fakes.fake_slack.rate_limits import RateLimits
from tests.fakes.fake_slack.refusals import Refusal, invalid_arguments, missing_scope
from tests.fakes.fake_slack.world import World

# These come as JSON inside form fields, or as they are in a JSON body.
STRUCTURED = {"blocks", "attachments", "view", "prompts", "chunks", "metadata", "loading_messages", "files"}


@dataclass(eq=False)
class Call:
    """One call as its handler sees it: `given` are its arguments."""

    world: World
    given: dict[str, Any]
    scopes: set[str]

    def need(self, *names: str) -> None:
        """Raises Slack's refusal where an argument is missing."""
        missing = [name for name in names if self.given.get(name) in (None, "")]
        if missing:
            raise invalid_arguments(*(f"missing required field: {name}" for name in missing))

    def is_set(self, name: str, default: bool = False) -> bool:
        """A boolean, in any of the spellings that Slack takes."""
        value = self.given.get(name)
        return default if value is None else str(value).lower() in ("1", "true")


Handler = Callable[[Call], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Method:
    """A handler and what its token must allow: all of `scopes`, or where several would do, one of `any_of`."""

    handler: Handler
    scopes: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    is_for_app_token: bool = False
    is_for_config_token: bool = False


@dataclass(eq=False)
class LoggedCall:
    """One call as a test sees it afterwards. `status` is None while it hangs and where its socket was cut."""

    method: str
    given: dict[str, Any]
    at: float
    status: int | None = None
    answer: Any = None
    error: str | None = field(default=None)


class WebApi:
    """`scopes` are the bot token's; `revoked` is what every call is answered with once the token is gone."""

    def __init__(
        self, world: World, methods: Mapping[str, Method], bot_token: str, app_token: str, scopes: set[str],
        contract: Contract | None,
    ) -> None:  # fmt: skip
        self.world = world
        self.methods = methods
        self.bot_token = bot_token
        self.app_token = app_token
        self.config_token = f"xoxe.xoxp-1-{secrets.token_hex(16)}"
        self.scopes = scopes
        self.app_scopes = {"connections:write"}
        self.contract = contract
        self.faults = Faults()
        self.rate_limits = RateLimits()
        self.calls: list[LoggedCall] = []
        self.unknown: list[str] = []
        self.revoked: str | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        given = await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(given.pop("token", ""))
        given.pop("token", None)
        logged = LoggedCall(method, given, self.world.clock.now())
        self.calls.append(logged)
        self.world.touch()
        fault = self.faults.strike(method)
        if fault is not None and (early := await self._suffer(request, fault, logged)) is not None:
            return early
        status, answer, headers = await self._answer(method, given, token)
        logged.status, logged.answer, logged.error = status, answer, answer.get("error")
        self.world.touch()
        if fault is not None and fault.kind == "lose":
            return _cut(request)
        return web.json_response(answer, status=status, headers=headers)

    async def _suffer(self, request: web.Request, fault: Fault, logged: LoggedCall) -> web.StreamResponse | None:
        """What a fault does before the call is carried out; None if it then is."""
        self.world.touch()
        if fault.kind == "hang":
            await fault.released.wait()
        if fault.kind == "cut":
            return _cut(request)
        if fault.kind == "page":
            logged.status = fault.status
            return web.Response(status=fault.status, text="<html>503</html>", content_type="text/html")
        if fault.kind == "refuse":
            logged.status, logged.answer, logged.error = fault.status, fault.body, fault.body["error"]
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        return None

    async def _answer(
        self, name: str, given: dict[str, Any], token: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:  # fmt: skip
        headers: dict[str, str] = {}
        if token == self.bot_token:
            headers["X-OAuth-Scopes"] = ",".join(sorted(self.scopes))
        method = self.methods.get(name)
        if method is None:
            self.unknown.append(name)
            return 200, Refusal("unknown_method").body, headers
        wait_s = self.rate_limits.take(name, str(given.get("channel", "")))
        if wait_s is not None:
            return 429, Refusal("ratelimited").body, {**headers, "Retry-After": str(wait_s)}
        if self.contract is not None:
            self.contract.request(name, given)
        try:
            self._check(method, token)
            answer = {"ok": True, **await method.handler(Call(self.world, given, self.scopes))}
        except Refusal as refusal:
            return 200, refusal.body, headers
        if self.contract is not None:
            self.contract.answer(name, answer)
        return 200, answer, headers

    def _check(self, method: Method, token: str) -> None:
        if not token:
            raise Refusal("not_authed")
        if token not in (self.bot_token, self.app_token, self.config_token):
            raise Refusal("invalid_auth")
        is_right = (token == self.app_token) == method.is_for_app_token
        if not is_right or (token == self.config_token) != method.is_for_config_token:
            raise Refusal("not_allowed_token_type")
        if self.revoked is not None:
            raise Refusal(self.revoked)
        granted = self.app_scopes if method.is_for_app_token else self.scopes
        for scope in method.scopes:
            if scope not in granted:
                raise missing_scope(scope, granted)
        if method.any_of and not granted.intersection(method.any_of):
            raise missing_scope(",".join(method.any_of), granted)


async def _arguments(request: web.Request) -> dict[str, Any]:
    """Query, form or JSON, whichever the client chose."""
    given: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        raw = await request.text()
        given |= json.loads(raw) if raw else {}
    elif request.method == "POST":
        given |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    return {name: _structured(value) if name in STRUCTURED else value for name, value in given.items()}


def _structured(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
