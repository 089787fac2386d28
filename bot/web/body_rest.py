"""Reads what a client still sends before it is told that it is refused.

Who gets an answer and a closed connection amid its own sending sees a broken pipe, and never the sentence.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_REST_BYTES = 32 * 1024 * 1024
MAX_REST_S = 5.0


class BodyRest:
    """Reads and forgets the rest of a body, within bounds, before an answer that is an error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_read = Headers(scope=scope).get("expect", "").lower() == "100-continue"  # it waits to be asked

        async def watched() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_when_read(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                left = MAX_REST_BYTES
                with suppress(TimeoutError):
                    async with asyncio.timeout(MAX_REST_S):
                        while not is_read and left > 0:
                            left -= len((await watched()).get("body", b""))
            await send(message)

        await self._app(scope, watched, send_when_read)
