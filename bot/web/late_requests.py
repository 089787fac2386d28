"""Answers requests that are cut off while the server stops. Knows no routes."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.api_errors import RETRY_AFTER_S, error_response

STOPPING = "The server is stopping and did not finish this request; send it again in a minute."


class LateRequests:
    """A request is cancelled only by the server that ends. It gets a sentence instead of the server's bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def noting(message: Message) -> None:
            nonlocal is_begun
            is_begun |= message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if scope["type"] != "http" or is_begun:
                raise
            await error_response(503, STOPPING, headers={"Retry-After": str(RETRY_AFTER_S)})(scope, receive, send)
