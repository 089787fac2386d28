"""/v1: models, chat completions, responses and feedback in OpenAI's shapes, so that any OpenAI client works."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from bot.chat.judging import Judging
from bot.web import openai_schema as schema
from bot.web.api_errors import error_response, install_error_handlers
from bot.web.api_replies import SOURCE, WRITTEN, ApiReplies, ApiReply, Asked, failure_of, person, whole
from bot.web.bodies import BodyReader
from bot.web.event_stream import EventStream, StreamFailed, cancelled_on_disconnect
from bot.web.metrics import Metrics
from bot.web.responses_api import ResponsesApi
from bot.web.responses_schema import exchange_id_of
from bot.web.service_view import Service, champions
from core.blends import BASE, Blend, BlendPart
from core.messages import Usage


def build_api(service: Service, metrics: Metrics) -> FastAPI:
    """The application that is mounted at /v1; its own, so that its 404s are not the playground's."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install_error_handlers(app)
    replies = ApiReplies(service, metrics)
    bodies = BodyReader()
    api, responses = OpenAIApi(service, replies, bodies), ResponsesApi(replies, bodies)
    for end in ("", "/"):  # not every client follows where it is sent to
        app.add_api_route(f"/models{end}", api.list_models, methods=["GET"])
        app.add_api_route(f"/chat/completions{end}", api.create_completion, methods=["POST"])
        app.add_api_route(f"/responses{end}", responses.create, methods=["POST"])
        app.add_api_route(f"/feedback{end}", api.give_feedback, methods=["POST"])
    app.add_api_route("/models/{model:path}", api.show_model, methods=["GET"])
    app.add_api_route("/responses/{rest:path}", responses.refuse_stored, methods=["GET", "POST", "DELETE"])
    return app


class OpenAIApi:
    """The routes but for /responses."""

    def __init__(self, service: Service, replies: ApiReplies, bodies: BodyReader) -> None:
        self._service = service
        self._replies = replies
        self._bodies = bodies
        self._judging = Judging(service.store, SOURCE, takes_consent=False)

    async def list_models(self) -> Response:
        plain = [Blend(), *(Blend((BlendPart(slug, 1.0),)) for slug in self._service.personas)]
        return JSONResponse({"object": "list", "data": [await self._describe(blend) for blend in plain]})

    async def show_model(self, model: str) -> Response:
        return JSONResponse(await self._describe(self._replies.find(model)))

    async def create_completion(self, request: Request) -> Response:
        body = await self._bodies.read(request, schema.ChatCompletionRequest)
        asked = Asked(body.model, body.read(), body.overrides, body.user, body.variant_of, body.conversation)
        reply = await self._replies.open(request, asked, notices=body.notices)
        if body.stream:
            records = _records(reply, is_usage_sent=body.is_usage_streamed)
            return EventStream(reply.pending, records, headers=reply.headers)
        async with cancelled_on_disconnect(request.receive, reply.pending):
            return await _whole(reply)

    async def give_feedback(self, request: Request) -> Response:
        body = await self._bodies.read(request, schema.FeedbackRequest)
        await self._judging.record(exchange_id_of(body.completion_id), person(body.user), body.judgement)
        return JSONResponse(body.body)

    async def _describe(self, blend: Blend) -> dict[str, Any]:
        adapters = await champions(self._service, blend)
        personas = [self._service.personas[part.slug].file for part in blend.parts]
        is_single = len(adapters) == 1 and len(personas) == 1
        return schema.model_body(
            str(blend),
            name=" + ".join(persona.name for persona in personas) or BASE,
            description=" ".join(persona.description for persona in personas) or "The base model without a persona.",
            base_model=self._service.settings.base_model,
            adapters=[adapter.ref.name for adapter in adapters],
            adapter_version=adapters[0].version if is_single else None,
            created=adapters[0].created_at if adapters else 0,
        )


async def _whole(reply: ApiReply) -> Response:
    written = await whole(reply.chunks())
    end = written.end
    if end.finish_reason not in WRITTEN:
        return error_response(*failure_of(end))
    body = schema.completion_body(
        reply.pending.exchange_id,
        reply.pending.model,
        int(reply.pending.created_at),
        text=written.text,
        thoughts=written.thoughts,
        finish_reason=end.finish_reason,
        usage=end.usage or Usage(),
        told=reply.told(),
    )
    return JSONResponse(body, headers=reply.headers())


async def _records(reply: ApiReply, *, is_usage_sent: bool) -> AsyncGenerator[dict[str, Any]]:
    """The events of a stream: the role, then text, then why it ended, then the usage if asked for.

    None comes before the first chunk, which may be an error. Raises StreamFailed.
    """
    head = (reply.pending.exchange_id, reply.pending.model, int(reply.pending.created_at))
    extra: dict[str, Any] = {"usage": None} if is_usage_sent else {}
    is_begun, failure = False, None
    async with aclosing(reply.chunks()) as chunks:
        async for chunk in chunks:
            if chunk.finish_reason in ("cancelled", "error"):
                failure = StreamFailed(error_response(*failure_of(chunk)))
            if not is_begun and (chunk.text or chunk.thoughts or failure is None):
                is_begun = True
                yield schema.chunk_body(*head, delta={"role": "assistant", "content": ""}) | extra
            if chunk.thoughts:
                yield schema.chunk_body(*head, delta={"reasoning_content": chunk.thoughts}) | extra
            if chunk.text:
                yield schema.chunk_body(*head, delta={"content": chunk.text}) | extra
            if chunk.finish_reason in WRITTEN:
                yield schema.chunk_body(*head, delta={}, finish_reason=chunk.finish_reason) | extra | reply.told()
                if is_usage_sent:
                    yield schema.usage_chunk_body(*head, chunk.usage or Usage())
    if failure is not None:
        raise failure
