"""Reads the body of a request to its end, within a size, a shape and a time, before any route sees the request.

Plain ASGI. Routes get the body in one piece, so none of them waits for a slow client or parses without a bound.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.api_errors import error_response
from bot.web.json_size import MAX_JSON_VALUES, has_too_many_values
from bot.web.login import LOGIN_PATH

MAX_BODY_BYTES = 1024 * 1024
MAX_LOGIN_BYTES = 4 * 1024
BODY_TIMEOUT_S = 30.0
CLOSE = {"Connection": "close"}


class _TooLarge(Exception):
    pass


class _ClientLeft(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Limit:
    max_bytes: int
    advice: str


CONVERSATION = _Limit(MAX_BODY_BYTES, "send a shorter conversation")
LOGIN = _Limit(MAX_LOGIN_BYTES, "send the key alone")


class BodyGate:
    """Refuses a body that is too large (413), holds too many values (400) or comes too slowly (408).

    `timeout_s` is for the whole body.
    """

    def __init__(self, app: ASGIApp, *, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        limit = LOGIN if scope["path"] == LOGIN_PATH else CONVERSATION
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await _read(scope, receive, limit)
        except _ClientLeft:
            return
        except _TooLarge:
            await _too_large(limit)(scope, receive, send)
            return
        except TimeoutError:
            sentence = f"The request's body did not come within {self._timeout_s:g} s; send it again, faster."
            await error_response(408, sentence, headers=CLOSE)(scope, receive, send)
            return
        if limit is not LOGIN and has_too_many_values(body):  # a form is nobody's JSON
            await _too_many_values()(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _read(scope: Scope, receive: Receive, limit: _Limit) -> bytes:
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit.max_bytes:
        raise _TooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientLeft
        body += message.get("body", b"")
        if len(body) > limit.max_bytes:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, and then what the client does."""
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _too_large(limit: _Limit) -> Response:
    sentence = f"The request's body is larger than {limit.max_bytes // 1024} KiB; {limit.advice}."
    return error_response(413, sentence, headers=CLOSE)


def _too_many_values() -> Response:
    return error_response(
        400, f"The request's body holds more than {MAX_JSON_VALUES} values; send a shorter conversation."
    )
