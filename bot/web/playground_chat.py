"""The playground's conversations: what a browser session said, and which reply is being written.

Knows the service and no Gradio components, so that the page can change without it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from bot.chat.answers import asking_again
from bot.chat.personas import describe
from bot.chat.platform import IncomingMessage
from bot.chat.reply_pages import DROPPED_NOTE, thoughts_note
from bot.chat.responder import PendingReply
from bot.web.metrics import Metrics
from bot.web.pace import Pace
from bot.web.playground_text import code
from bot.web.service_view import Service, champions
from core.blends import Blend, parse_blend
from core.errors import EngineFailed, InvalidInput, PersonasError
from core.messages import ChatMessage, Role
from core.personas import check_blend
from core.store import exchanges, places

SOURCE = "playground"
UPDATE_INTERVAL_S = 0.06  # each update sends the whole chat, so tokens that come faster share one
MAX_MESSAGE_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the chat; a reply knows its exchange and who wrote it ("🏴‍☠️ Captain Codebeard").

    `notes` are remarks that stand under it and are no part of what was said.
    """

    role: Role
    text: str
    author: str = ""
    exchange_id: str = ""
    notes: tuple[str, ...] = ()


Chat = tuple[Turn, ...]


@dataclass(slots=True)
class Conversation:
    """A browser session's chat. Replies and clearing take turns in it, in the order in which they were asked for."""

    turns: Chat = ()
    draft: str = ""  # a question that got no answer
    disliked: str = ""  # the exchange that a better answer may be written for
    clearings: int = 0  # a reply that began before the latest clearing is not shown any more
    order: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take_draft(self) -> str:
        """The question that got no answer, once; else nothing."""
        draft, self.draft = self.draft, ""
        return draft


class PlaygroundChats:
    """Every browser session's conversation. A session is named by the random id that Gradio gives its page."""

    def __init__(self, service: Service, metrics: Metrics, pace: Pace) -> None:
        self._service = service
        self._metrics = metrics
        self._pace = pace
        self._running: dict[str, PendingReply] = {}

    async def choose(self, session_id: str, spec: str) -> Blend:
        """Let a persona, blend or the base model answer this session from now on. Raises InvalidInput, NotFound."""
        blend = check_blend(self._service.personas, parse_blend(spec))
        async with self._service.store.write() as session:
            await places.set_model(session, _conversation(session_id), source=SOURCE, model=str(blend))
        return blend

    async def send(self, session_id: str, conversation: Conversation, text: str, spec: str) -> AsyncGenerator[Chat]:
        """The chat as the reply to `text` grows. Raises PersonasError; what was said until then stays.

        `spec` is what the page shows, so that a message sent right after a switch is answered by the new choice.
        A question without an answer leaves the chat, and becomes the draft.
        """
        ask = partial(self._ask, session_id, text, spec)
        async with aclosing(self._in_turn(conversation, ask, draft=sendable(text))) as chats:
            async for chat in chats:
                yield chat

    async def again(self, session_id: str, conversation: Conversation) -> AsyncGenerator[Chat]:
        """The chat as another answer to its last question grows in the former one's place. Raises PersonasError.

        One that comes to nothing leaves the former one where it was.
        """
        async with aclosing(self._in_turn(conversation, partial(self._ask_again, session_id))) as chats:
            async for chat in chats:
                yield chat

    async def _in_turn(
        self, conversation: Conversation, write: Callable[[Chat], AsyncGenerator[Chat]], *, draft: str = ""
    ) -> AsyncGenerator[Chat]:
        """What `write` makes of the chat, once everything that was asked for before has ended."""
        clearings = conversation.clearings
        async with conversation.order:
            before, conversation.disliked = conversation.turns, ""
            problem: PersonasError | None = None
            try:
                async with aclosing(write(before)) as chats:
                    async for chat in chats:
                        if conversation.clearings != clearings:
                            return
                        conversation.turns = chat
                        yield chat
            except PersonasError as error:
                problem = error
            if conversation.clearings != clearings:
                return
            if conversation.turns == before or not conversation.turns[-1].text:
                conversation.turns = before
                conversation.draft = draft or conversation.draft
                yield before
            if problem is not None:
                raise problem

    async def clear(self, session_id: str, conversation: Conversation) -> None:
        """Empty the chat and end the reply that is being written. Returns when no more of it will be shown."""
        conversation.turns, conversation.draft, conversation.disliked = (), "", ""
        conversation.clearings += 1
        await self.stop(session_id)
        async with conversation.order:
            pass  # the reply has told the page its last; what was sent since waits behind

    async def stop(self, session_id: str) -> None:
        """End the reply that is being written; what it said so far stays in the chat."""
        reply = self._running.get(session_id)
        if reply is not None:
            await reply.cancel()

    async def describe(self, blend: Blend) -> str:
        """One line in Markdown: which adapter versions on which base model answer."""
        base_model = self._service.settings.base_model
        base = f"base model {code(base_model)}"
        if blend.is_base:
            return f"Answers: the {base} alone, without a persona."
        adapters = {adapter.persona: adapter for adapter in await champions(self._service, blend)}
        names = [
            f"adapter {code(adapters[part.slug].ref.name)}"
            if part.slug in adapters
            else f"the system prompt of {code(part.slug)} only, which has no adapter for this model yet"
            for part in blend.parts
        ]
        return f"Answers: {' + '.join(names)} on the {base}."

    async def _ask(self, session_id: str, text: str, spec: str, chat: Chat) -> AsyncGenerator[Chat]:
        """The chat with the question and, as it grows, its reply. Raises PersonasError."""
        if not text.strip():
            raise InvalidInput("The message is empty; write something to get a reply.")
        if len(text) > MAX_MESSAGE_CHARS:
            raise InvalidInput(
                f"The message is {len(text)} characters long; at most {MAX_MESSAGE_CHARS} are allowed, send less."
            )
        blend = check_blend(self._service.personas, parse_blend(spec))
        asked = (*chat, Turn("user", text))
        async with aclosing(self._answer(asked, _incoming("message", session_id, asked, str(blend)))) as chats:
            async for grown in chats:
                yield grown

    async def _ask_again(self, session_id: str, chat: Chat) -> AsyncGenerator[Chat]:
        """The chat with another answer, as it grows, in place of the last one. Raises PersonasError."""
        former = None
        if chat and chat[-1].exchange_id:
            async with self._service.store.read() as session:
                former = await exchanges.find(session, chat[-1].exchange_id)
        if former is None:
            raise InvalidInput("There is no reply that could be written anew; ask something first.")
        asked = chat[:-1]
        incoming = asking_again(_incoming("regenerate", session_id, asked, former.model), former)
        async with aclosing(self._answer(asked, incoming)) as chats:
            async for grown in chats:
                yield grown

    async def _answer(self, asked: Chat, incoming: IncomingMessage) -> AsyncGenerator[Chat]:
        """What was asked and, as it grows, its reply. Raises PersonasError."""
        session_id, model = incoming.user_id, str(incoming.model)
        try:
            self._pace.check(session_id)
            reply = await self._service.responder.open(incoming)
        except PersonasError:
            self._metrics.count_refused(model, SOURCE)
            raise
        self._running[session_id] = reply
        try:
            answer = Turn("assistant", "", describe(self._service.personas, model), reply.exchange_id)
            async with aclosing(self._grow(reply, answer)) as turns:
                async for turn in turns:
                    yield (*asked, turn)
        finally:
            if self._running.get(session_id) is reply:
                del self._running[session_id]

    async def _grow(self, reply: PendingReply, answer: Turn) -> AsyncGenerator[Turn]:
        """The reply as it grows, with pauses between. Raises EngineFailed with the sentence of a failed reply."""
        yield answer
        shown_at, thoughts = 0.0, ""
        async with aclosing(self._metrics.measured(reply, SOURCE)) as chunks:
            async for chunk in chunks:
                thoughts += chunk.thoughts if self._service.settings.show_thoughts else ""
                notes: tuple[str, ...] = (thoughts_note(thoughts),) if thoughts.strip() else ()
                notes += (DROPPED_NOTE,) if chunk.dropped else ()
                answer = replace(answer, text=answer.text + chunk.text, notes=notes)
                now = time.monotonic()
                if chunk.finish_reason is not None or now - shown_at >= UPDATE_INTERVAL_S:
                    shown_at = now
                    yield answer
                if chunk.finish_reason == "error":
                    raise EngineFailed(chunk.error or "The reply could not be written; ask again.")


def sendable(text: str) -> str:
    """The text with "?" in place of half surrogate pairs, which a page may send but none can be sent."""
    return text.encode(errors="replace").decode()


def _incoming(kind: str, session_id: str, asked: Chat, model: str) -> IncomingMessage:
    return IncomingMessage(
        source=SOURCE,
        event_id=f"{kind}:{uuid.uuid4().hex}",
        conversation_id=_conversation(session_id),
        user_id=session_id,
        messages=tuple(ChatMessage(turn.role, turn.text) for turn in asked),
        model=model,
    )


def _conversation(session_id: str) -> str:
    return f"{SOURCE}:{session_id}"
