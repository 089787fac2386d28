"""What OpenAI's clients call messages -> turns that a text model can read, and a word on what was left out. Pure.

What stands in an earlier turn is read as far as it goes; what is asked now must be text, or it is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bot.web.api_errors import BadField
from bot.web.openai_fields import Strict
from core.messages import ChatMessage

MAX_NAME_CHARS = 64
MAX_MESSAGES = 2048  # as many as OpenAI's own API takes
MAX_PARTS = 256
MAX_TOOL_CALLS = 256
TEXT_KINDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
# What else may stand in a message, and what it is called when it is left out.
LEFT_OUT_KINDS = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "sound",
    "audio": "sound",
    "video_url": "video",
    "file": "file",
    "input_file": "file",
    "thinking": "thought",
    "reasoning": "thought",
    "redacted_thinking": "thought",
}
OTHER = "part of another kind"
SILENT = frozenset({"thought"})  # nothing stands in its place

ClientRole = Literal["system", "user", "assistant", "tool"]
# OpenAI's newer clients say "developer" where older ones said "system", and "tool" where they said "function".
ROLES: dict[object, ClientRole] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def _check_role(value: object) -> ClientRole:
    if not isinstance(value, str) or value not in ROLES:
        raise ValueError('a role is "system", "user", "assistant" or, for the result of a tool, "tool"')
    return ROLES[value]


def _check_content(value: object) -> object:
    if value is not None and not isinstance(value, str | list):
        raise ValueError('content is text, or a list of parts such as {"type": "text", "text": "..."}')
    if isinstance(value, list) and len(value) > MAX_PARTS:
        raise ValueError(f"a message has at most {MAX_PARTS} content parts, this one has {len(value)}; join them")
    return value


class MessageIn(Strict):
    """A message as a client sends it."""

    role: Annotated[ClientRole, BeforeValidator(_check_role)]
    content: Annotated[str | list[Any] | None, BeforeValidator(_check_content)] = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[Any], Field(max_length=MAX_TOOL_CALLS)] | None = None
    function_call: Any = None
    tool_call_id: Any = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A message and where it stands in the body, as in "messages.3"."""

    where: str
    message: MessageIn


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """What a model is asked, and sentences about what was left out."""

    messages: tuple[ChatMessage, ...]
    notices: tuple[str, ...] = ()


def read_messages(placed: Sequence[Placed], *, left_out: Iterable[str] = ()) -> ReadMessages:
    """Read a conversation. `left_out` names what was taken away before. Raises BadField."""
    if not any(one.message.role == "user" for one in placed):
        raise BadField(
            placed[0].where.partition(".")[0] if placed else "messages",
            "there is no message of a user, and personas call no tools, so that results of tools ask for nothing alone;"
            " send a user message",
        )
    reader = _Reader(placed, Counter(left_out))
    messages = [ChatMessage(role, text) for role, text in map(reader.read, range(len(placed))) if text]
    return ReadMessages(tuple(messages), reader.notices)


@dataclass(slots=True)
class _Reader:
    placed: Sequence[Placed]
    left_out: Counter[str]
    question: int = 0
    speakers: set[str] = field(default_factory=set)
    are_several_assistants: bool = False
    tools: dict[str, str] = field(default_factory=dict)  # their names by the ids of their calls

    def __post_init__(self) -> None:
        messages = [one.message for one in self.placed]
        self.question = max(index for index, one in enumerate(messages) if one.role in ("user", "tool"))
        self.speakers = {_name(one).casefold() for one in messages if one.role == "user" and _name(one)}
        self.are_several_assistants = len({_name(one) for one in messages if one.role == "assistant"} - {""}) > 1

    @property
    def notices(self) -> tuple[str, ...]:
        if not self.left_out:
            return ()
        counted = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in self.left_out.items())
        return (f"Left out, because personas read text only: {counted}.",)

    def read(self, index: int) -> tuple[Literal["system", "user", "assistant"], str]:
        """Role and text of a message; no text where there is nothing to read."""
        where, message = self.placed[index].where, self.placed[index].message
        texts = [self._content(where, message, is_question=index == self.question)]
        if message.role == "assistant":
            texts += [message.refusal or "", *map(self._call, self._calls(message))]
        text = "\n".join(text for text in texts if text)
        if message.role == "tool":
            tool = self.tools.get(str(message.tool_call_id)) or _name(message)
            return "user", f"[Result of the tool{f' {tool}' if tool else ''}]\n{text}"
        if message.role == "user" and not text and index != self.question:
            self.left_out["empty message"] += 1
        return message.role, self._with_name(message, text)

    def _content(self, where: str, message: MessageIn, *, is_question: bool) -> str:
        content = message.content
        if content is None and is_question:
            raise BadField(f"{where}.content", "the last message of the user is empty; write one")
        if not isinstance(content, list):
            return content or ""
        return "\n".join(text for part in content if (text := self._part(where, part, is_question=is_question)))

    def _part(self, where: str, part: Any, *, is_question: bool) -> str:
        if isinstance(part, str):  # as some libraries shorten a part of text
            return part
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or not isinstance(kind, str):
            raise BadField(f"{where}.content", 'a content part is {"type": "text", "text": "..."}')
        if kind in TEXT_KINDS:
            text = part.get(TEXT_KINDS[kind])
            if not isinstance(text, str):
                raise BadField(f"{where}.content", f'a content part of type {kind} holds a "{TEXT_KINDS[kind]}"')
            return text
        what = LEFT_OUT_KINDS.get(kind, OTHER)
        if is_question and what not in SILENT:
            shown = f" {kind}" if kind in LEFT_OUT_KINDS else " another type"
            raise BadField(
                f"{where}.content", f"personas read text only, so a part of type{shown} cannot be used; leave it out"
            )
        self.left_out[what] += 1
        return "" if what in SILENT else f"[{what}, not shown]"

    def _calls(self, message: MessageIn) -> list[Any]:
        return [*(message.tool_calls or []), *([message.function_call] if message.function_call else [])]

    def _call(self, call: Any) -> str:
        """What an assistant asked of a tool, in words."""
        asked = call.get("function", call.get("custom", call)) if isinstance(call, dict) else None
        if not isinstance(asked, dict) or not isinstance(asked.get("name"), str):
            self.left_out["tool call"] += 1
            return ""
        if isinstance(call.get("id"), str):
            self.tools[call["id"]] = asked["name"]
        arguments = asked.get("arguments", asked.get("input", ""))
        shown = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return f"[Calls the tool {asked['name']}{f' with {shown}' if shown else ''}]"

    def _with_name(self, message: MessageIn, text: str) -> str:
        """The text behind the name of who said it, as chats with several people are read. No line of it can pass for
        the beginning of what another of them said.
        """
        if not text:
            return ""
        if message.role == "user" and self.speakers:
            text = "\n".join(self._set_off(line) for line in text.split("\n"))
        is_named = message.role != "assistant" or self.are_several_assistants
        name = _name(message) if is_named else ""
        return f"{name}: {text}" if name else text

    def _set_off(self, line: str) -> str:
        speaker, colon, _ = line.partition(":")
        return f"| {line}" if colon and " ".join(speaker.split()).casefold() in self.speakers else line


def _name(message: MessageIn) -> str:
    return " ".join((message.name or "").replace(":", " ").split())[:MAX_NAME_CHARS].strip()
