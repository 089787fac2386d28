"""Lets the apps that PERSONAS_ALLOWED_ORIGINS names use the API from a browser. The pages stay closed to them.

The key still guards everything: what is answered without one is a browser's question whether it may ask at all.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.web.api_errors import error_response
from bot.web.api_paths import is_api_path

ANY = "*"
MAX_AGE_S = 600
EXPOSED = ("X-Dropped-Messages", "X-Notices", "Retry-After")


def foreign_origin_sentence(origin: str) -> str:
    return (
        f'A page or app of "{origin[:100]}" may not use this server; name it in PERSONAS_ALLOWED_ORIGINS to let it use'
        " the API. If this is the server's own page, a proxy in between must pass the Host header on."
    )


class AllowedOrigins:
    """The origins that may use the API."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def has(self, origin: str) -> bool:
        return ANY in self._names or origin.lower() in self._names


class ApiCors:
    """CORS for the API's paths alone; every answer there, an error too, can be read by an origin that is allowed."""

    def __init__(self, app: ASGIApp, *, allowed: AllowedOrigins) -> None:
        self._app = app
        self._allowed = allowed
        self._cors = CORSMiddleware(
            app,
            allow_origins=allowed.names,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=EXPOSED,
            max_age=MAX_AGE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and self._allowed.has(origin):
            await self._cors(scope, receive, send)
        elif origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await error_response(403, foreign_origin_sentence(origin))(scope, receive, send)
        else:
            await self._app(scope, receive, send)
