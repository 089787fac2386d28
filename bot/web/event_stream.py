"""Server-sent events, and ending a reply whose reader has gone. Knows no OpenAI shapes but that of an error.

An error that comes soon, before the first event, is answered with its own HTTP status; a later one is an event.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from bot.chat.responder import PendingReply

DONE = b"data: [DONE]\n\n"
# Some clients take these for ends of lines, as Python's str.splitlines does; JSON allows to escape them.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in ("\u0085", "\u2028", "\u2029")}
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
    comments keep the connection alive. `headers` is asked once the first record is there. `is_named`: each event bears
    the record's `type` as its name, and none says [DONE].
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        reply: PendingReply,
        records: AsyncGenerator[dict[str, object]],
        *,
        headers: Callable[[], Mapping[str, str]],
        is_named: bool = False,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._reply = reply
        self._records = records
        self._ask_headers = headers
        self._is_named = is_named
        self._is_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with cancelled_on_disconnect(receive, self._reply), aclosing(self._records) as records:
            try:
                await self._beat_until_first(records, send)
                async for record in records:
                    await self._send(send, self._event(record))
            except StreamFailed as failure:
                if not self._is_begun:
                    await failure.response(scope, receive, send)
                    return
                await self._send(send, _framed(bytes(failure.response.body)))
            await self._send(send, b"" if self._is_named else DONE, is_last=True)

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
            await self._send(send, self._event(record))

    async def _send(self, send: Send, body: bytes, *, is_last: bool = False) -> None:
        if not self._is_begun:
            self._is_begun = True
            # X-Accel-Buffering: nginx passes each event on at once.
            self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **self._ask_headers()})
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})

    def _event(self, record: dict[str, object]) -> bytes:
        name = f"event: {record['type']}\n".encode() if self._is_named else b""
        return name + _framed(json.dumps(record, ensure_ascii=False).encode())


def _framed(data: bytes) -> bytes:
    """JSON in UTF-8 as one event."""
    for end, escaped in LINE_ENDS.items():
        data = data.replace(end, escaped)
    return b"data: " + data + b"\n\n"
