"""What passes between the bot and a chat platform. No SDK's type crosses this line; knows no queue and no store."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.generation import SamplingOverrides
from core.messages import ChatMessage, Quoted

NOT_POSTED = -1  # the page of a reply that only a placeholder stands for


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What the platform shows in a reply's place until there is one, "thinking…"; `token` lets it be changed."""

    message_id: str
    token: str | None


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message that wants a reply, with the conversation it ends.

    `event_id` is unique within `source`, so that an event delivered twice is answered once; `conversation_id` is unique
    over all sources. `model` is the blend spec the client named; None leaves it to the conversation, then to `places`,
    which are named from the narrowest to the widest: thread, channel, server.
    Prompt and reply are kept out of the ledger where `needs_consent` and somebody who is quoted has not agreed, and
    where `needs_permission` and `places` do not let text be kept. `quotes` are the chat messages whose words stand in
    `messages`, the question's own included; they let people take back what they said. `question_id` is the platform's
    id of the message that asks, and `variant_of` an exchange that answers the same question.
    """

    source: str
    event_id: str
    conversation_id: str
    user_id: str
    messages: tuple[ChatMessage, ...]
    model: str | None = None
    sampling: SamplingOverrides = field(default_factory=SamplingOverrides)
    needs_consent: bool = False
    needs_permission: bool = False
    places: tuple[str, ...] = ()
    variant_of: str | None = None
    question_id: str | None = None
    quotes: tuple[Quoted, ...] = ()
    placeholder: Placeholder | None = None
