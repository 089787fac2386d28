"""/v1: models, chat completions and feedback in OpenAI's shapes, so that any OpenAI client works."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from bot.chat.judging import record_feedback
from bot.chat.platform import IncomingMessage
from bot.chat.responder import PendingReply
from bot.web import openai_schema as schema
from bot.web.api_errors import UnknownModel, error_response, install_error_handlers
from bot.web.event_stream import EventStream, StreamFailed, cancelled_on_disconnect
from bot.web.follow_ups import FollowUps
from bot.web.metrics import Metrics
from bot.web.service_view import Service, champions
from core.blends import BASE, Blend, BlendPart, parse_blend
from core.errors import InvalidInput, NotFound, PersonasError
from core.generation import SamplingOverrides
from core.messages import ReplyChunk, Usage
from core.personas import check_blend

SOURCE = "api"
CONVERSATION_HEADER = "x-conversation-id"
CANCELLED = "The reply was cancelled before it was finished; ask again."

Body = TypeVar("Body", bound=schema.Strict)


def build_api(service: Service, metrics: Metrics) -> FastAPI:
    """The application that is mounted at /v1; its own, so that its 404s are not the playground's."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install_error_handlers(app)
    api = OpenAIApi(service, metrics)
    app.add_api_route("/models", api.list_models, methods=["GET"])
    app.add_api_route("/models/{model:path}", api.show_model, methods=["GET"])
    app.add_api_route("/chat/completions", api.create_completion, methods=["POST"])
    app.add_api_route("/feedback", api.give_feedback, methods=["POST"])
    return app


class OpenAIApi:
    """The routes."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service = service
        self._metrics = metrics
        self._follow_ups = FollowUps()

    async def list_models(self) -> Response:
        plain = [Blend(), *(Blend((BlendPart(slug, 1.0),)) for slug in self._service.personas)]
        return JSONResponse({"object": "list", "data": [await self._describe(blend) for blend in plain]})

    async def show_model(self, model: str) -> Response:
        return JSONResponse(await self._describe(self._find(model)))

    async def create_completion(self, request: Request) -> Response:
        body = await _read(request, schema.ChatCompletionRequest)
        model, user = str(self._find(body.model)), _person(body.user)
        given = _given_conversation(request, body)
        conversation_id = given or self._follow_ups.claim(user, model, body.chat_messages)
        incoming = IncomingMessage(
            source=SOURCE,
            event_id=uuid.uuid4().hex,
            conversation_id=conversation_id,
            user_id=user,
            messages=body.chat_messages,
            model=model,
            sampling=_overrides(body),
        )
        try:
            reply = await self._service.responder.open(incoming)
        except PersonasError:
            self._metrics.count_refused(model, SOURCE)
            raise

        async def chunks() -> AsyncGenerator[ReplyChunk]:
            text = ""
            async with aclosing(self._metrics.measured(reply, SOURCE)) as measured:
                async for chunk in measured:
                    text += chunk.text
                    if chunk.finish_reason in ("stop", "length") and not given:
                        self._follow_ups.remember(conversation_id, user, model, body.chat_messages, text)
                    yield chunk

        if body.stream:
            return EventStream(reply, _records(reply, chunks(), is_usage_sent=body.is_usage_streamed))
        async with cancelled_on_disconnect(request.receive, reply):
            return await _whole(reply, chunks())

    async def give_feedback(self, request: Request) -> Response:
        body = await _read(request, schema.FeedbackRequest)
        await record_feedback(
            self._service.store,
            exchange_id=body.completion_id,
            user_id=_person(body.user),
            label=body.label,
            source=SOURCE,
        )
        return JSONResponse({"object": "feedback", "completion_id": body.completion_id, "label": body.label})

    def _find(self, spec: str) -> Blend:
        try:
            return check_blend(self._service.personas, parse_blend(spec))
        except NotFound as error:
            raise UnknownModel(str(error)) from error

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


async def _read(request: Request, kind: type[Body]) -> Body:
    """The body as a model. Whatever content type the client claims, it must be JSON in UTF-8."""
    return kind.model_validate_json(await request.body())


def _person(user: str | None) -> str:
    """Whom a client names, told apart from the people of other sources, whatever the client calls them."""
    return f"{SOURCE}:{user or 'anonymous'}"


def _given_conversation(request: Request, body: schema.ChatCompletionRequest) -> str | None:
    """The conversation that the client names; ids of different users never meet."""
    name = request.headers.get(CONVERSATION_HEADER) or body.conversation
    if name is None:
        return None
    if len(name) > schema.MAX_ID_CHARS:
        raise InvalidInput(f"{CONVERSATION_HEADER} is longer than {schema.MAX_ID_CHARS} characters; use a shorter id.")
    return f"api:{hashlib.sha256(json.dumps([body.user, name]).encode()).hexdigest()}"


def _overrides(body: schema.ChatCompletionRequest) -> SamplingOverrides:
    return SamplingOverrides(
        max_new_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        repetition_penalty=body.repetition_penalty,
        stop=None if body.stop is None else tuple(body.stop),
        seed=body.seed,
    )


async def _whole(reply: PendingReply, chunks: AsyncIterator[ReplyChunk]) -> Response:
    text, thoughts, end = "", "", ReplyChunk(finish_reason="cancelled")
    async for chunk in chunks:
        text += chunk.text
        thoughts += chunk.thoughts
        if chunk.finish_reason is not None:
            end = chunk
    if end.finish_reason not in ("stop", "length"):
        return error_response(*_failure(end))
    usage = end.usage or Usage()
    created = int(reply.created_at)
    return JSONResponse(
        schema.completion_body(
            reply.exchange_id,
            reply.model,
            created,
            text=text,
            thoughts=thoughts,
            finish_reason=end.finish_reason,
            usage=usage,
        )
    )


async def _records(
    reply: PendingReply, chunks: AsyncGenerator[ReplyChunk], *, is_usage_sent: bool
) -> AsyncGenerator[dict[str, Any]]:
    """The events of a stream: the role, then text, then why it ended, then the usage if asked for.

    None comes before the first chunk, which may be an error. Raises StreamFailed.
    """
    head = (reply.exchange_id, reply.model, int(reply.created_at))
    extra: dict[str, Any] = {"usage": None} if is_usage_sent else {}
    is_begun, failure = False, None
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.finish_reason in ("cancelled", "error"):
                failure = StreamFailed(error_response(*_failure(chunk)))
            if not is_begun and (chunk.text or chunk.thoughts or failure is None):
                is_begun = True
                yield schema.chunk_body(*head, delta={"role": "assistant", "content": ""}) | extra
            if chunk.thoughts:
                yield schema.chunk_body(*head, delta={"reasoning_content": chunk.thoughts}) | extra
            if chunk.text:
                yield schema.chunk_body(*head, delta={"content": chunk.text}) | extra
            if chunk.finish_reason in ("stop", "length"):
                yield schema.chunk_body(*head, delta={}, finish_reason=chunk.finish_reason) | extra
                if is_usage_sent:
                    yield schema.usage_chunk_body(*head, chunk.usage or Usage())
    if failure is not None:
        raise failure


def _failure(end: ReplyChunk) -> tuple[int, str]:
    """Status and sentence of a reply that was not finished."""
    if end.finish_reason == "cancelled":
        return 503, CANCELLED
    return end.error_status, end.error or "The reply could not be written; ask again."
