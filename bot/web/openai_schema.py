"""Request and response shapes of OpenAI's chat completions and models, with our extensions. Knows no HTTP, no queue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from bot.chat.judging import Judgement
from bot.web.client_messages import MAX_MESSAGES, MessageIn, Placed, ReadMessages, read_messages
from bot.web.openai_fields import CompletionOnlyFields, Id, SharedFields, Strict, TokenCount
from core.generation import MAX_STOP_STRINGS, SamplingOverrides
from core.messages import Usage


def _as_list(value: object) -> object:
    """A lone stop string. Empty ones ask for none, and take none away from a persona that has some."""
    texts = [value] if isinstance(value, str) else value
    return [text for text in texts if text != ""] or None if isinstance(texts, list) else texts


Stop = Annotated[list[str], Field(max_length=MAX_STOP_STRINGS, fail_fast=True)]


class StreamOptions(Strict):
    include_usage: bool | None = None


class ChatCompletionRequest(SharedFields, CompletionOnlyFields):
    """The body of POST /v1/chat/completions. `conversation` is an extension."""

    model: str
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    stop: Annotated[Stop | None, BeforeValidator(_as_list)] = None
    stream_options: StreamOptions | None = None
    conversation: Id | None = None

    def read(self) -> ReadMessages:
        """Raises BadField."""
        return read_messages([Placed(f"messages.{index}", one) for index, one in enumerate(self.messages)])

    @property
    def overrides(self) -> SamplingOverrides:
        max_tokens = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        stop = None if self.stop is None else tuple(self.stop)
        return replace(self.sampling, max_new_tokens=max_tokens, stop=stop)

    @property
    def is_usage_streamed(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class FeedbackRequest(Strict):
    """The body of POST /v1/feedback, which says at least one thing: `label` null takes the thumb back.

    Of `better_answer` and `preferred`, null says nothing; `preferred` false takes the choice back.
    """

    completion_id: Id
    label: StrictBool | None = None
    better_answer: str | None = None
    preferred: StrictBool | None = None
    user: Id = "anonymous"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if "label" not in self.model_fields_set and self.better_answer is None and self.preferred is None:
            raise ValueError(
                "nothing is said of the reply; send label (true, false, or null to take it back), better_answer (text)"
                " or preferred (true or false)"
            )
        return self

    @property
    def judgement(self) -> Judgement:
        return Judgement(
            label=self.label,
            is_thumb_gone="label" in self.model_fields_set and self.label is None,
            better_answer=self.better_answer,
            is_best=self.preferred,
        )

    @property
    def body(self) -> dict[str, Any]:
        """What is answered: what was sent, but for the person."""
        return {"object": "feedback", **self.model_dump(exclude={"user"}, exclude_unset=True)}


def usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def completion_body(
    completion_id: str,
    model: str,
    created: int,
    *,
    text: str,
    thoughts: str,
    finish_reason: str,
    usage: Usage,
    told: Mapping[str, Any],
) -> dict[str, Any]:
    """A whole reply. `told` are the fields of our own; `thoughts` stand where other servers put them."""
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
        **told,
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
