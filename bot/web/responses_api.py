"""/v1/responses: OpenAI's Responses API for text, whole or streamed, without a memory of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from bot.web.api_errors import error_response
from bot.web.api_replies import WRITTEN, ApiReplies, ApiReply, Asked, failure_of, whole
from bot.web.bodies import BodyReader
from bot.web.event_stream import EventStream, StreamFailed, cancelled_on_disconnect
from bot.web.responses_schema import ResponseShape, ResponsesRequest, status_of


class ResponsesApi:
    """The routes below /v1/responses."""

    def __init__(self, replies: ApiReplies, bodies: BodyReader) -> None:
        self._replies = replies
        self._bodies = bodies

    async def create(self, request: Request) -> Response:
        body = await self._bodies.read(request, ResponsesRequest)
        asked = Asked(body.model, body.read(), body.overrides, body.user, body.variant_of)
        reply = await self._replies.open(request, asked, notices=body.told)
        pending = reply.pending
        shape = ResponseShape(body, pending.exchange_id, pending.model, int(pending.created_at))
        if body.stream:
            return EventStream(pending, _events(reply, shape), headers=reply.headers, is_named=True)
        async with cancelled_on_disconnect(request.receive, pending):
            written = await whole(reply.chunks())
        shape.text, end = written.text, written.end
        if end.finish_reason not in WRITTEN:
            return error_response(*failure_of(end))
        body_of_response = shape.response(status_of(end), end=end, told=reply.told())
        return JSONResponse(body_of_response, headers=reply.headers())

    async def refuse_stored(self, rest: str) -> Response:
        """Whatever is asked of a response by its id."""
        raise HTTPException(
            404, "Responses are not kept here, so none is found by its id; send the whole conversation in input."
        )


async def _events(reply: ApiReply, shape: ResponseShape) -> AsyncGenerator[dict[str, Any]]:
    """The events of a stream; none before the first chunk, which may be an error. Raises StreamFailed until then."""
    is_begun = False
    async with aclosing(reply.chunks()) as chunks:
        async for chunk in chunks:
            is_failed = chunk.finish_reason in ("cancelled", "error")
            if is_failed and not is_begun and not chunk.text:
                raise StreamFailed(error_response(*failure_of(chunk)))
            if not is_begun:
                is_begun = True
                for event in shape.beginning():
                    yield event
            if chunk.text:
                yield shape.delta(chunk.text)
            if is_failed:
                yield shape.failure(failure_of(chunk)[1])
            elif chunk.finish_reason is not None:
                for event in shape.ending(chunk, reply.told()):
                    yield event
