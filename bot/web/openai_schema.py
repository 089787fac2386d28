"""OpenAI's request and response shapes, with our extensions. Knows no HTTP and no queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from core.generation import MAX_NEW_TOKENS_LIMIT
from core.messages import ChatMessage, Role, Usage

MAX_ID_CHARS = 256

# OpenAI's newer clients say "developer" where older ones said "system".
ROLES: dict[object, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def _check_role(value: object) -> Role:
    if value in ("tool", "function"):
        raise ValueError("personas call no tools, so tool messages are not understood; send user and assistant turns")
    if not isinstance(value, str) or value not in ROLES:
        raise ValueError('a role is "system", "user" or "assistant"')
    return ROLES[value]


def _join_parts(value: object) -> object:
    """Content parts become one text; a string stays as it is."""
    if not isinstance(value, list):
        return value
    texts = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("image_url", "input_audio", "file"):
            raise ValueError(f"personas read text only, so a part of type {kind} cannot be used; leave it out")
        if not isinstance(part, dict) or kind != "text" or not isinstance(part.get("text"), str):
            raise ValueError('a content part is {"type": "text", "text": "..."}')
        texts.append(part["text"])
    return "\n".join(texts)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_penalty(value: float | None) -> float | None:
    if value:
        raise ValueError("this penalty is not supported; leave it out, or use repetition_penalty")
    return value


Penalty = Annotated[float | None, AfterValidator(_check_penalty)]
# No database keeps a NUL character.
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00]*$")]
TokenCount = Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS_LIMIT)]


class Strict(BaseModel):
    """JSON's own types and nothing converted; unknown fields are ignored, because OpenAI's clients send many."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class MessageIn(Strict):
    role: Annotated[Role, BeforeValidator(_check_role)]
    content: Annotated[str, BeforeValidator(_join_parts)]


class StreamOptions(Strict):
    include_usage: bool | None = None


class ChatCompletionRequest(Strict):
    """The body of POST /v1/chat/completions. `top_k`, `repetition_penalty` and `conversation` are extensions."""

    model: str
    messages: Annotated[list[MessageIn], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10)] | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    stop: Annotated[list[str] | None, BeforeValidator(_as_list)] = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Literal[1] | None = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Id | None = None
    conversation: Id | None = None

    @property
    def chat_messages(self) -> tuple[ChatMessage, ...]:
        return tuple(ChatMessage(message.role, message.content) for message in self.messages)

    @property
    def is_usage_streamed(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class FeedbackRequest(Strict):
    """The body of POST /v1/feedback. `label` must be there: null removes the judgement."""

    completion_id: Id
    label: StrictBool | None
    user: Id = "anonymous"


def usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def completion_body(
    completion_id: str, model: str, created: int, *, text: str, thoughts: str, finish_reason: str, usage: Usage
) -> dict[str, Any]:
    """A whole reply. `thoughts` stand beside it, where other servers put them."""
    message = {"role": "assistant", "content": text, "refusal": None}
    if thoughts:
        message |= {"reasoning_content": thoughts}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": usage_body(usage),
    }


def chunk_body(
    completion_id: str, model: str, created: int, *, delta: dict[str, str], finish_reason: str | None = None
) -> dict[str, Any]:
    """A piece of a streamed reply."""
    return {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }


def usage_chunk_body(completion_id: str, model: str, created: int, usage: Usage) -> dict[str, Any]:
    """What ends a stream whose client asked for `stream_options.include_usage`."""
    body = chunk_body(completion_id, model, created, delta={})
    return body | {"choices": [], "usage": usage_body(usage)}


def model_body(
    model: str,
    *,
    name: str,
    description: str,
    base_model: str,
    adapters: Sequence[str],
    adapter_version: int | None,
    created: float | None = None,
) -> dict[str, Any]:
    """An entry of /v1/models. `adapters` names the versions that answer; none means that the system prompt does."""
    return {
        "id": model,
        "object": "model",
        "created": int(time.time() if created is None else created),
        "owned_by": "plug-and-play-personas",
        "name": name,
        "description": description,
        "base_model": base_model,
        "adapters": list(adapters),
        "adapter_version": adapter_version,
    }
