"""What passes between the bot and a chat platform. No SDK's type crosses this line; knows no queue and no store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from core.engine.base import SamplingParams
from core.messages import ChatMessage, Quoted


@dataclass(frozen=True, slots=True)
class SamplingOverrides:
    """What a message asks of sampling; None leaves it to the persona and the base model."""

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None

    def apply(self, sampling: SamplingParams) -> SamplingParams:
        """`sampling` with what is asked for. Raises InvalidInput for a value outside its limits."""
        return replace(sampling, **{name: value for name, value in asdict(self).items() if value is not None})


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message that wants a reply, with the conversation it ends.

    `event_id` is unique within `source`, so that an event delivered twice is answered once; `conversation_id` is unique
    over all sources. `model` is the blend spec the client named; None leaves it to the conversation, then to `places`,
    which are named from the narrowest to the widest: thread, channel, server.
    `is_text_kept=False` keeps prompt and reply out of the ledger. `quotes` are the chat messages whose words stand in
    `messages`, the question's own included; they let people take back what they said. `question_id` is the platform's
    id of the message that asks, and `variant_of` an exchange that answers the same question.
    """

    source: str
    event_id: str
    conversation_id: str
    user_id: str
    messages: tuple[ChatMessage, ...]
    model: str | None = None
    sampling: SamplingOverrides = SamplingOverrides()
    is_text_kept: bool = True
    places: tuple[str, ...] = ()
    variant_of: str | None = None
    question_id: str | None = None
    quotes: tuple[Quoted, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageRef:
    """A message on a platform. `message_id` is unique within `source`."""

    source: str
    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """A person's thumb on a message: up, down, or taken away (`label` None)."""

    message: MessageRef
    user_id: str
    label: bool | None


class ChatPlatform(Protocol):
    """Discord, Slack and their like: events come in, messages go out. Limits and retries of its API are its own."""

    @property
    def source(self) -> str:
        """Its name in the ledger, as in `core.settings.SOURCES`."""

    @property
    def max_message_chars(self) -> int:
        """A longer reply is split."""

    def incoming(self) -> AsyncIterator[IncomingMessage]:
        """Messages that want a reply, as they come."""

    def reactions(self) -> AsyncIterator[Reaction]:
        """Thumbs on the bot's own messages, as they come."""

    async def send(self, conversation_id: str, text: str, *, reply_to: MessageRef | None = None) -> MessageRef:
        """Post a message, which pings nobody."""

    async def edit(self, message: MessageRef, text: str) -> None:
        """Replace the text of one of the bot's own messages."""

    async def close(self) -> None:
        """Leave the platform; `incoming` and `reactions` end."""
