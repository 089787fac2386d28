"""Shapes of OpenAI's Responses API as far as text goes: the body, the response, its events. Knows no HTTP, no queue.

Nothing is kept between two requests, so whatever builds on a stored response is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import ValidationError

from bot.web.api_errors import BadField
from bot.web.client_messages import MAX_MESSAGES, MessageIn, Placed, ReadMessages, read_messages
from bot.web.openai_fields import (
    NO_FORMATS,
    NO_LOGPROBS,
    SharedFields,
    Strict,
    TokenCount,
    is_nothing,
    is_plain_text,
    only,
)
from core.generation import SamplingOverrides
from core.messages import ReplyChunk, Usage

EXCHANGE_PREFIX, RESPONSE_PREFIX, MESSAGE_PREFIX = "chatcmpl-", "resp_", "msg_"
NOT_STORED = "store: responses are not kept here, so that none can be asked for or gone on with by its id."
NO_STORE = "no response is kept here; send the whole conversation in input"


def response_id_of(exchange_id: str) -> str:
    return RESPONSE_PREFIX + exchange_id.removeprefix(EXCHANGE_PREFIX)


def exchange_id_of(reply_id: str) -> str:
    """The exchange that a completion's or a response's id names."""
    is_response = reply_id.startswith(RESPONSE_PREFIX)
    return EXCHANGE_PREFIX + reply_id.removeprefix(RESPONSE_PREFIX) if is_response else reply_id


class TextOptions(Strict):
    format: Annotated[Any, only(is_plain_text, NO_FORMATS)] = None


class ResponsesRequest(SharedFields):
    """The body of POST /v1/responses."""

    model: str
    input: Any
    instructions: str | None = None
    max_output_tokens: TokenCount | None = None
    text: TextOptions | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    previous_response_id: Annotated[Any, only(is_nothing, NO_STORE)] = None
    conversation: Annotated[Any, only(is_nothing, NO_STORE)] = None
    prompt: Annotated[Any, only(is_nothing, "no prompts are kept here; write it out in instructions and input")] = None
    include: Annotated[Any, only(lambda value: "logprobs" not in str(value), NO_LOGPROBS)] = None
    background: Annotated[Any, only(is_nothing, "replies are not written in the background; leave this out")] = None

    def read(self) -> ReadMessages:
        """Raises BadField."""
        left_out: Counter[str] = Counter()
        head = [MessageIn(role="system", content=self.instructions)] if self.instructions else []
        placed = [*(Placed("instructions", one) for one in head), *_read_input(self.input, left_out)]
        return read_messages(placed, left_out=left_out.elements())

    @property
    def overrides(self) -> SamplingOverrides:
        return replace(self.sampling, max_new_tokens=self.max_output_tokens)

    @property
    def told(self) -> tuple[str, ...]:
        return (*self.notices, NOT_STORED) if self.store else self.notices


def _read_input(value: Any, left_out: Counter[str]) -> list[Placed]:
    """Items as messages; what is neither said nor done in words is counted in `left_out`."""
    if isinstance(value, str):
        return [Placed("input", MessageIn(role="user", content=value))]
    if not isinstance(value, list) or not value:
        raise BadField("input", "it is text, or a list of messages; send one")
    if len(value) > MAX_MESSAGES:
        raise BadField("input", f"it has at most {MAX_MESSAGES} items, this one has {len(value)}; send fewer")
    placed = []
    for index, item in enumerate(value):
        where = f"input.{index}"
        message = _read_item(where, item)
        if message is None:
            left_out["thought" if item["type"] == "reasoning" else "item of another kind"] += 1
        else:
            placed.append(Placed(where, message))
    return placed


def _read_item(where: str, item: Any) -> MessageIn | None:
    """Raises BadField."""
    if not isinstance(item, dict):
        raise BadField(where, 'an item is a message, as in {"role": "user", "content": "..."}')
    kind = item.get("type", "message")
    if kind == "message":
        return _message(where, {"role": item.get("role"), "content": item.get("content"), "name": item.get("name")})
    if kind in ("function_call", "custom_tool_call"):
        call = {"id": item.get("call_id"), "function": {**item, "arguments": item.get("arguments", item.get("input"))}}
        return _message(where, {"role": "assistant", "tool_calls": [call]})
    if kind in ("function_call_output", "custom_tool_call_output"):
        fields = {"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")}
        return _message(where, fields)
    if kind == "item_reference":
        raise BadField(where, NO_STORE)
    return None


def _message(where: str, fields: dict[str, Any]) -> MessageIn:
    try:
        return MessageIn.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join((where, *map(str, first["loc"])))
        raise BadField(place, first["msg"].removeprefix("Value error, ").rstrip(".")) from error


@dataclass(slots=True)
class ResponseShape:
    """One response as it grows, and the numbers of its events. `told` are the fields of our own, once it has ended."""

    body: ResponsesRequest
    exchange_id: str
    model: str
    created_at: int
    text: str = ""
    sequence: int = field(default=0, init=False)

    def response(
        self, status: str, *, end: ReplyChunk | None = None, error: str = "", told: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        is_cut = status == "incomplete"
        return {
            "id": response_id_of(self.exchange_id),
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": {"code": "server_error", "message": error} if error else None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": self.body.instructions,
            "max_output_tokens": self.body.max_output_tokens,
            "metadata": self.body.metadata or {},
            "model": self.model,
            "output": [self.message(status)] if end is not None else [],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": self.body.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": self.body.top_p,
            "truncation": "auto",
            "usage": _usage_body(end.usage or Usage()) if end is not None else None,
            "user": self.body.user,
            **(told or {}),
        }

    def message(self, status: str) -> dict[str, Any]:
        return {
            "id": self._message_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [] if status == "in_progress" else [self._part(self.text)],
        }

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.sequence += 1
        return {"type": f"response.{kind}", "sequence_number": self.sequence - 1, **fields}

    def beginning(self) -> list[dict[str, Any]]:
        """The events before the first word."""
        return [
            self.event("created", response=self.response("in_progress")),
            self.event("in_progress", response=self.response("in_progress")),
            self.event("output_item.added", output_index=0, item=self.message("in_progress")),
            self.event("content_part.added", **self._place, part=self._part("")),
        ]

    def delta(self, text: str) -> dict[str, Any]:
        self.text += text
        return self.event("output_text.delta", **self._place, delta=text, logprobs=[])

    def ending(self, end: ReplyChunk, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The events behind the last word."""
        status = status_of(end)
        return [
            self.event("output_text.done", **self._place, text=self.text, logprobs=[]),
            self.event("content_part.done", **self._place, part=self._part(self.text)),
            self.event("output_item.done", output_index=0, item=self.message(status)),
            self.event(status, response=self.response(status, end=end, told=told)),
        ]

    def failure(self, sentence: str) -> dict[str, Any]:
        return self.event("failed", response=self.response("failed", error=sentence))

    @property
    def _message_id(self) -> str:
        return MESSAGE_PREFIX + self.exchange_id.removeprefix(EXCHANGE_PREFIX)

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._message_id, "output_index": 0, "content_index": 0}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def status_of(end: ReplyChunk) -> str:
    """How OpenAI calls a reply that was written: "incomplete" where it reached its longest length."""
    return "incomplete" if end.finish_reason == "length" else "completed"


def _usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
