"""What of Gradio is served: the routes that the page uses, to the browser that owns the session, without files.

Gradio brings some seventy routes: a proxy for any URL, uploads, deep links, an API of its own. An update may add
more. So nothing is served but what is listed here; a test walks Gradio's routes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.api_errors import error_body
from bot.web.page_sessions import COOKIE, PageSessions, new_cookie
from core.errors import InvalidInput, PersonasError

PAGES = frozenset({"/", "/config"})
PAGE_COOKIE = "personas_page"
FILES = re.compile(r"/theme\.css|/(assets|static/js)/[A-Za-z0-9_-][A-Za-z0-9._-]*")
HEARTBEAT = "/gradio_api/heartbeat/"
JOIN = "/gradio_api/queue/join"
ANSWERS = "/gradio_api/queue/data"
MAX_EVENT_BYTES = 256 * 1024  # the longest message that is taken, each character written as \\uXXXX, and its envelope
MAX_INPUTS = 16
MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class _Let:
    """A request that may pass: to which session it belongs, with which body and query."""

    session: str | None = None
    body: bytes | None = None
    query: bytes = b""
    is_stream: bool = False


class PlaygroundDoor:
    """ASGI in front of Gradio's app."""

    def __init__(self, app: ASGIApp, *, sessions: PageSessions, event_ids: Collection[int]) -> None:
        self._app = app
        self._sessions = sessions
        self._event_ids = event_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        cookie = _cookie(headers)
        try:
            let = await self._judge(scope, receive, cookie)
        except PersonasError as error:
            await _refusal(error.http_status, str(error))(scope, receive, send)
            return
        fresh = new_cookie() if scope["path"] in PAGES and cookie is None else None
        try:
            with self._sessions.streaming(let.session) if let.session and let.is_stream else nullcontext():
                await self._app(
                    {**scope, "query_string": let.query, "headers": _headers(scope, let)},
                    receive if let.body is None else _replay(let.body, receive),
                    _own_headers(send, fresh, is_https=scope.get("scheme") == "https"),
                )
        except PersonasError as error:
            await _refusal(error.http_status, str(error))(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive, cookie: str | None) -> _Let:
        """What may pass of this request. Raises PersonasError, and HTTPException with 404 for all that is not used."""
        method, path = scope["method"], scope["path"]
        query = scope["query_string"]
        if method in ("GET", "HEAD") and (path in PAGES or FILES.fullmatch(path)):
            return _Let()  # without its query, which could name a deep link
        if method == "GET" and path.startswith(HEARTBEAT):
            return _Let(self._sessions.claim(path.removeprefix(HEARTBEAT), cookie), is_stream=True)
        if method == "GET" and path == ANSWERS:
            names = parse_qs(query.decode("latin-1"), max_num_fields=4).get("session_hash", [""])
            session = self._sessions.claim(names[0], cookie)
            return _Let(session, query=f"session_hash={session}".encode(), is_stream=True)
        if method == "POST" and path == JOIN:
            event = _event(await _body(receive), self._event_ids)
            session = self._sessions.claim(event["session_hash"], cookie)
            return _Let(session, body=json.dumps(event).encode())
        raise HTTPException(404)


def _event(body: bytes, event_ids: Collection[int]) -> dict[str, object]:
    """The page's event, and nothing else of what was sent. Raises InvalidInput.

    Whatever is nested in the inputs is left out: the page sends only plain values, and Gradio would fetch and keep
    a file that an object there names.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The event is not valid JSON; open this page again.") from error
    event_id = sent.get("fn_index") if isinstance(sent, dict) else None
    if not isinstance(event_id, int) or isinstance(event_id, bool) or event_id not in event_ids:
        raise InvalidInput("The event is none of this page's; open this page again.")
    inputs, details, trigger = sent.get("data"), sent.get("event_data"), sent.get("trigger_id")
    if not isinstance(inputs, list) or len(inputs) > MAX_INPUTS or not _is_shallow(details, MAX_DEPTH):
        raise InvalidInput("The event's data is not what this page sends; open this page again.")
    return {
        "fn_index": event_id,
        "session_hash": sent.get("session_hash"),
        "data": [False if isinstance(value, dict | list) else value for value in inputs],
        "event_data": details,
        "trigger_id": trigger if isinstance(trigger, int) else None,
    }


def _is_shallow(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and len(value) <= MAX_INPUTS and all(_is_shallow(part, levels - 1) for part in inner)


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises HTTPException with 413 when it is too large."""
    body, is_more = bytearray(), True
    while is_more:
        message = await receive()
        body += message.get("body", b"")
        is_more = message.get("more_body", False)
        if len(body) > MAX_EVENT_BYTES:
            raise HTTPException(413, f"The message is larger than {MAX_EVENT_BYTES // 1024} KiB; send a shorter one.")
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body, and then what the client does."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return parts.pop() if parts else await receive()

    return replayed


def _headers(scope: Scope, let: _Let) -> list[tuple[bytes, bytes]]:
    """The request's headers; where the body is ours, so are its length and type."""
    if let.body is None:
        return list(scope["headers"])
    ours = [(b"content-type", b"application/json"), (b"content-length", str(len(let.body)).encode())]
    replaced = {b"content-type", b"content-length", b"transfer-encoding"}
    return [(name, value) for name, value in scope["headers"] if name not in replaced] + ours


def _own_headers(send: Send, cookie: str | None, *, is_https: bool) -> Send:
    """A `send` without Gradio's CORS headers, and with our cookie where the browser needs one."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in {name for name in headers if name.startswith("access-control-")}:
                del headers[name]
            if cookie is not None:
                secure = "; Secure" if is_https else ""
                headers.append("set-cookie", f"{PAGE_COOKIE}={cookie}; HttpOnly; Path=/; SameSite=Lax{secure}")
        await send(message)

    return sending


def _cookie(headers: Headers) -> str | None:
    found = cookie_parser(headers.get("cookie", "")).get(PAGE_COOKIE, "")
    return found if COOKIE.fullmatch(found) else None


def _refusal(status: int, sentence: str) -> JSONResponse:
    """An error in our shape, and in Gradio's, whose page shows the `detail`."""
    return JSONResponse({**error_body(status, sentence), "detail": sentence}, status_code=status)
