"""Server-sent events, and ending a reply whose reader has gone. Knows no OpenAI shapes.

An error that comes soon, before the first event, is answered with its own HTTP status; a later one is an event.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from bot.chat.responder import PendingReply

DONE = b"data: [DONE]\n\n"
BEAT = b": waiting\n\n"  # a comment, which every client skips
BEAT_S = 5.0


class StreamFailed(Exception):
    """The records end with an error. `response` is how it is answered while nothing else was sent."""

    def __init__(self, response: JSONResponse) -> None:
        super().__init__(response.status_code)
        self.response = response


@asynccontextmanager
async def cancelled_on_disconnect(receive: Receive, reply: PendingReply) -> AsyncIterator[None]:
    """Cancel the reply as soon as the client goes, or when the body is left early; its chunks then end."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await reply.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await reply.cancel()  # harmless when it has ended


class EventStream(Response):
    """Sends each record as one `data:` event. Starlette's StreamingResponse would cancel us amid our own tidying up.

    `records` may end with StreamFailed. Until the first of them comes, the status waits for BEAT_S seconds, and then
    comments keep the connection alive.
    """

    media_type = "text/event-stream"

    def __init__(self, reply: PendingReply, records: AsyncGenerator[dict[str, object]]) -> None:
        self.status_code = 200
        self.background = None
        self._reply = reply
        self._records = records
        self._is_begun = False
        # X-Accel-Buffering: nginx passes each event on at once.
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with cancelled_on_disconnect(receive, self._reply), aclosing(self._records) as records:
            try:
                await self._beat_until_first(records, send)
                async for record in records:
                    await self._send(send, _event(record))
            except StreamFailed as failure:
                if not self._is_begun:
                    await failure.response(scope, receive, send)
                    return
                await self._send(send, _framed(bytes(failure.response.body)))
            await self._send(send, DONE, is_last=True)

    async def _beat_until_first(self, records: AsyncGenerator[dict[str, object]], send: Send) -> None:
        """Send the first record, and a comment for every while that it does not come. Raises StreamFailed."""
        first = asyncio.ensure_future(anext(records, None))
        try:
            while not (await asyncio.wait({first}, timeout=BEAT_S))[0]:
                await self._send(send, BEAT)
            record = first.result()
        finally:
            first.cancel()
            await asyncio.wait({first})
        if record is not None:
            await self._send(send, _event(record))

    async def _send(self, send: Send, body: bytes, *, is_last: bool = False) -> None:
        if not self._is_begun:
            self._is_begun = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _event(record: dict[str, object]) -> bytes:
    return _framed(json.dumps(record, ensure_ascii=False).encode())


def _framed(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
