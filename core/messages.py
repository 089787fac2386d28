"""What people and models say: frozen records that cross every boundary. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Role
    content: str

    def to_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Quoted:
    """A chat message whose words stand in a prompt, or what was typed into a command.

    `message_id` is the platform's, of the message or of the command; `user_id` "" is the bot.
    """

    message_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply. `cached_tokens` is the part of the prompt that a kept slot had already prefilled."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReplyChunk:
    """A piece of a reply as it streams. Exactly one chunk of a reply, the last, has a `finish_reason`.

    `text` holds only whole characters: a token that ends inside a UTF-8 sequence is held back until it is complete.
    `error` is the sentence for the user when `finish_reason` is "error", and `error_status` what HTTP calls it
    (see `core.errors`). `dropped` counts the older messages of the conversation that did not fit the model's context;
    every chunk with text says so, and the last one. `thoughts` is what a reasoning model thinks aloud meanwhile:
    neither the reply's words nor part of the conversation (see `core.thinking`); an engine's own chunks have it in
    their text.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error: str | None = None
    error_status: int = 500
    dropped: int = 0
    thoughts: str = ""
