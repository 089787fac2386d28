"""One reply for an API client: which model, which conversation, what the client is told beside the text.

Every endpoint that writes replies opens them here. Knows no shapes of bodies.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from bot.chat.answers import asking_again
from bot.chat.platform import IncomingMessage
from bot.chat.responder import PendingReply
from bot.web.api_errors import BadField, UnknownModel
from bot.web.client_messages import ReadMessages
from bot.web.follow_ups import FollowUps
from bot.web.metrics import Metrics
from bot.web.openai_fields import MAX_ID_CHARS
from bot.web.pace import Pace
from bot.web.responses_schema import exchange_id_of
from bot.web.service_view import Service
from core.blends import BASE, Blend, parse_blend
from core.errors import InvalidBlend, InvalidInput, NotFound, PersonasError
from core.generation import SamplingOverrides
from core.messages import ChatMessage, ReplyChunk
from core.personas import check_blend
from core.store import exchanges
from core.store.models import Exchange

SOURCE = "api"
CONVERSATION_HEADER = "x-conversation-id"
DROPPED_HEADER = "X-Dropped-Messages"
NOTICES_HEADER = "X-Notices"
CANCELLED = "The reply was cancelled before it was finished; ask again."
WRITTEN = ("stop", "length")


class ApiReply:
    """A reply on its way to a client, and what the client is told beside its text: once, in fields and in headers."""

    def __init__(self, reply: PendingReply, chunks: AsyncGenerator[ReplyChunk], notices: Sequence[str]) -> None:
        self.pending = reply
        self._chunks = chunks
        self._notices = notices
        self._dropped = 0

    async def chunks(self) -> AsyncGenerator[ReplyChunk]:
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                self._dropped = chunk.dropped or self._dropped
                yield chunk

    def headers(self) -> dict[str, str]:
        """What is known so far; nothing where there is nothing to tell."""
        headers = {NOTICES_HEADER: " ".join(self._sentences())} if self._sentences() else {}
        return headers | ({DROPPED_HEADER: str(self._dropped)} if self._dropped else {})

    def told(self) -> dict[str, Any]:
        """The same as fields, once the reply has ended."""
        return {"dropped_messages": self._dropped, "notices": self._sentences()}

    def _sentences(self) -> list[str]:
        if not self._dropped:
            return list(self._notices)
        what = "1 older message was" if self._dropped == 1 else f"{self._dropped} older messages were"
        return [*self._notices, f"{what} left out, because the conversation does not fit the model's context."]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for. `conversation` is the id that it gives in its body.

    `variant_of` is the id of a former reply to the same question.
    """

    model: str
    read: ReadMessages
    sampling: SamplingOverrides
    user: str | None
    variant_of: str | None
    conversation: str | None = None


class ApiReplies:
    """Opens replies."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service = service
        self._metrics = metrics
        self._follow_ups = FollowUps()
        self._pace = Pace(service.settings.api_pace)

    async def open(self, request: Request, asked: Asked, *, notices: Sequence[str] = ()) -> ApiReply:
        """Raises UnknownModel, InvalidInput, TooFast and what `Responder.open` raises."""
        model, user, messages = str(self.find(asked.model)), person(asked.user), asked.read.messages
        given = _given_conversation(request, asked)
        former = None if asked.variant_of is None else await self._former(asked.variant_of, user, model, messages)
        if former is None:
            conversation_id = given or self._follow_ups.claim(user, model, messages)
        else:
            conversation_id = former.conversation_id
        incoming = IncomingMessage(
            source=SOURCE,
            event_id=f"{'message' if former is None else 'regenerate'}:{uuid.uuid4().hex}",
            conversation_id=conversation_id,
            user_id=user,
            messages=messages,
            model=model,
            sampling=asked.sampling,
        )
        try:
            self._pace.check(user)
            reply = await self._service.responder.open(incoming if former is None else asking_again(incoming, former))
        except PersonasError:
            self._metrics.count_refused(model, SOURCE)
            raise
        chunks = self._remembered(reply, None if given else conversation_id, user, model, messages)
        return ApiReply(reply, chunks, (*asked.read.notices, *notices))

    def find(self, spec: str) -> Blend:
        """The persona or blend that `model` names. Raises UnknownModel, and InvalidBlend for a blend of known ones."""
        try:
            return check_blend(self._service.personas, parse_blend(spec))
        except NotFound as error:
            raise UnknownModel(str(error)) from error
        except InvalidBlend as error:
            names = {part.partition(":")[0].strip().lower() for part in spec.split("+")}
            if not spec.strip() or names & {BASE, *self._service.personas}:
                raise
            known = ", ".join([BASE, *self._service.personas])
            raise UnknownModel(f'There is no model "{spec[:100]}"; there are {known} and blends of them.') from error

    async def _former(self, reply_id: str, user: str, model: str, messages: Sequence[ChatMessage]) -> Exchange:
        """The reply that is to get a variant, if this client asks the same question of the same model again.

        Two answers to different questions, or of different models, are no variants to choose between. Raises BadField.
        """
        async with self._service.store.read() as session:
            former = await exchanges.find(session, exchange_id_of(reply_id))
        if former is None or (former.source, former.user_id) != (SOURCE, user):
            raise BadField("variant_of", f'this user has no reply "{reply_id[:60]}"; give the id of one, or none')
        if former.model != model:
            raise BadField("variant_of", f"{former.model} wrote that reply, {model} is asked now; ask the same model")
        if former.prompt is None:
            raise BadField("variant_of", "the words of that reply are not kept any more; ask without it")
        if former.prompt != [message.to_dict() for message in messages]:
            raise BadField("variant_of", "that reply answers other messages; send the same ones again, or leave it out")
        return former

    async def _remembered(
        self, reply: PendingReply, conversation_id: str | None, user: str, model: str, messages: Sequence[ChatMessage]
    ) -> AsyncGenerator[ReplyChunk]:
        """The reply's chunks. Once it has ended, the request that goes on from there is known."""
        text = ""
        async with aclosing(self._metrics.measured(reply, SOURCE)) as measured:
            async for chunk in measured:
                text += chunk.text
                if chunk.finish_reason in WRITTEN and conversation_id is not None:
                    self._follow_ups.remember(conversation_id, user, model, messages, text)
                yield chunk


def person(user: str | None) -> str:
    """Whom a client names, told apart from the people of other sources, whatever the client calls them."""
    return f"{SOURCE}:{user or 'anonymous'}"


def failure_of(end: ReplyChunk) -> tuple[int, str]:
    """Status and sentence of a reply that was not finished."""
    if end.finish_reason == "cancelled":
        return 503, CANCELLED
    return end.error_status, end.error or "The reply could not be written; ask again."


@dataclass(frozen=True, slots=True)
class WholeReply:
    """The text of a reply, what the model thought aloud meanwhile, and the last chunk."""

    text: str
    thoughts: str
    end: ReplyChunk


async def whole(chunks: AsyncGenerator[ReplyChunk]) -> WholeReply:
    """Read a reply to its end."""
    text, thoughts, end = "", "", ReplyChunk(finish_reason="cancelled")
    async with aclosing(chunks):
        async for chunk in chunks:
            text += chunk.text
            thoughts += chunk.thoughts
            if chunk.finish_reason is not None:
                end = chunk
    return WholeReply(text, thoughts, end)


def _given_conversation(request: Request, asked: Asked) -> str | None:
    """The conversation that the client names; ids of different users never meet."""
    headers: Mapping[str, str] = request.headers
    name = headers.get(CONVERSATION_HEADER) or asked.conversation
    if name is None:
        return None
    if len(name) > MAX_ID_CHARS:
        raise InvalidInput(f"{CONVERSATION_HEADER} is longer than {MAX_ID_CHARS} characters; use a shorter id.")
    return f"api:{hashlib.sha256(json.dumps([asked.user, name]).encode()).hexdigest()}"
