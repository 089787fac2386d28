"""Refuses requests before any route sees them: foreign hosts and origins, missing keys.

Plain ASGI, because Starlette's BaseHTTPMiddleware would hide a client's disconnect from streaming replies.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from bot.web.api_errors import error_response
from bot.web.api_paths import is_api_path, is_misplaced, not_found_sentence
from bot.web.cors import AllowedOrigins, foreign_origin_sentence
from bot.web.login import LOGIN_PATH, Login
from bot.web.wrong_keys import WrongKeys

VERSIONS_PATH = "/versions"
OWN_SITES = frozenset({"same-origin", "none"})  # "none": the address bar, a bookmark
# Gradio's page has inline scripts and styles, and shows pictures from data and blob URLs.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
OPEN_PATHS = frozenset({"/healthz", "/readyz", LOGIN_PATH})


def is_loopback_name(host: str) -> bool:
    """Whether a Host header names this machine: localhost, *.localhost, 127.0.0.0/8 or [::1], with any port."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_link_to_page(scope: Scope, headers: Headers) -> bool:
    """Whether the browser opens one of our pages in a tab, as for a link; whoever links to it can't read it."""
    is_navigation = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    path = scope["path"]
    is_page = path in ("/", LOGIN_PATH, VERSIONS_PATH) or path.startswith(f"{VERSIONS_PATH}/")
    return is_navigation and scope["method"] == "GET" and is_page


class BrowserGuard:
    """Keeps other websites out of a person's own server.

    Without a key the only protection is that the port is on loopback, which DNS rebinding defeats: so then the Host
    header must name this machine. Where a browser tells which page a request comes from (`Origin` on writes and on
    reads across origins, `Sec-Fetch-Site` on all), it must be this server's, or at the API's paths one of those that
    are allowed there: a page of another port or subdomain of localhost is foreign. Only a link may lead here from
    elsewhere, to a page.
    """

    def __init__(self, app: ASGIApp, *, is_loopback_only: bool, allowed: AllowedOrigins) -> None:
        self._app = app
        self._is_loopback_only = is_loopback_only
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here speaks it, and a browser sends one across origins
            await WebSocketClose()(scope, receive, send)
            return
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await error_response(403, refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._is_loopback_only and not is_loopback_name(host):
            return (
                f'This server answers to localhost only, not to "{host[:100]}"; open http://localhost instead,'
                " or set PERSONAS_API_KEY to serve others."
            )
        origin = headers.get("origin")
        if origin is not None and is_api_path(scope["path"]) and self._allowed.has(origin):
            return None
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return foreign_origin_sentence(origin)
        if headers.get("sec-fetch-site", "none") not in OWN_SITES and not is_link_to_page(scope, headers):
            return "A page of another site may not use this server; open its own page instead."
        return None


class KeyGuard:
    """Lets nobody past without PERSONAS_API_KEY: a bearer token, or for the pages the cookie that a login sets."""

    def __init__(self, app: ASGIApp, *, login: Login, wrong_keys: WrongKeys) -> None:
        self._app = app
        self._login = login
        self._wrong_keys = wrong_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            if self._login.has_bearer(scope):
                await self._wrong_keys.slow_down(scope)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if path in OPEN_PATHS or self._login.is_bearer(scope):
            return None
        is_page = not is_api_path(path) and path != "/metrics"
        if is_page and self._login.is_logged_in(scope):
            return None
        if is_page and scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
            return RedirectResponse(LOGIN_PATH, status_code=303)
        return error_response(
            401,
            "The API key is missing or wrong; send the server's PERSONAS_API_KEY as a bearer token.",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )


class SafeHeaders:
    """Tells browsers to load nothing from elsewhere, whatever a model writes, and to show this page in no frame."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, with_headers)


class MisplacedApi:
    """Answers a client with a wrong base URL in OpenAI's shape, where it would meet the playground's pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_misplaced(scope["path"]):
            refusal = error_response(404, not_found_sentence(scope["path"]), code="unknown_url")
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
