"""Server-sent events, and ending a reply whose reader has gone. Knows no OpenAI shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.responder import PendingReply

DONE = b"data: [DONE]\n\n"


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
    """Sends each record as one `data:` event. Starlette's StreamingResponse would cancel us amid our own tidying up."""

    media_type = "text/event-stream"

    def __init__(self, reply: PendingReply, records: AsyncGenerator[dict[str, object]]) -> None:
        self.status_code = 200
        self.background = None
        self._reply = reply
        self._records = records
        # X-Accel-Buffering: nginx passes each event on at once.
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with cancelled_on_disconnect(receive, self._reply), aclosing(self._records) as records:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for record in records:
                event = f"data: {json.dumps(record, ensure_ascii=False)}\n\n".encode()
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": DONE, "more_body": False})
