"""Reads persona rows from JSON Lines: {"instruction", "input", "output"} and, for a follow-up, "history".

Knows no tokenizer and no persona. All bad rows of a file are reported at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core.errors import InvalidData, NotFound
from core.messages import ChatMessage, Role
from core.outside_files import BOM, open_regular, parse_json

MAX_FILE_BYTES = 256 * 2**20
MAX_TEXT_CHARS = 32_000
MAX_HISTORY_TURNS = 64
MAX_PROBLEMS_SHOWN = 50
KEYS = ("instruction", "input", "output", "history")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example: what a user asks, and how the persona replies. `history` holds the turns before it."""

    instruction: str
    output: str
    input: str = ""
    history: tuple[ChatMessage, ...] = ()

    @property
    def user_text(self) -> str:
        """The user's message: the instruction, and the context it speaks about below it."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    def to_dict(self) -> dict[str, Any]:
        """The row as it stands in a file; `history` only where there is one."""
        row: dict[str, Any] = {"instruction": self.instruction, "input": self.input, "output": self.output}
        if self.history:
            row["history"] = [turn.to_dict() for turn in self.history]
        return row


def read_rows(path: Path) -> list[TrainingRow]:
    """Read all rows of a file; blank lines are skipped.

    Raises NotFound when there is no such file, and InvalidData with one "file:line: reason" line for each bad row.
    """
    rows: dict[TrainingRow, int] = {}
    problems: list[str] = []
    for number, line in _lines(path):
        try:
            row = parse_row(line)
        except InvalidData as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        if row in rows:
            problems.append(f"{path}:{number}: the same row stands in line {rows[row]} already")
        else:
            rows[row] = number
    if problems:
        raise InvalidData(_report(path, problems))
    if not rows:
        raise InvalidData(f"{path} holds no rows; write one JSON object a line with instruction and output.")
    return list(rows)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spread over all of them."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def parse_row(line: bytes) -> TrainingRow:
    """Read one line. Raises InvalidData with every reason why it is not a row."""
    value = parse_json(line, object_pairs_hook=_unique_keys)
    if not isinstance(value, dict):
        raise InvalidData(f"a JSON {_json_type(value)}, but a row is an object with instruction and output")
    problems = [f'unknown key "{key[:40]}"' for key in value if key not in KEYS]
    problems += _text_problems(value, "instruction", is_required=True)
    problems += _text_problems(value, "input", is_required=False)
    problems += _text_problems(value, "output", is_required=True)
    problems += _history_problems(value.get("history"))
    if problems:
        raise InvalidData("; ".join(problems))
    return TrainingRow(
        value["instruction"],
        value["output"],
        value.get("input") or "",
        tuple(ChatMessage(turn["role"], turn["content"]) for turn in value.get("history") or ()),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open_regular(path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > MAX_FILE_BYTES:
                raise InvalidData(
                    f"{path} is {size_bytes / 2**20:.0f} MiB large; at most {MAX_FILE_BYTES / 2**20:.0f} MiB are read."
                )
            for number, line in enumerate(file, start=1):
                text = line.removeprefix(BOM) if number == 1 else line
                if text.strip():
                    yield number, text
    except NotFound as error:
        raise NotFound(f"{path} does not exist; write the rows there, one JSON object a line.") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands there twice")
    return value


def _text_problems(value: dict[str, Any], key: str, *, is_required: bool) -> list[str]:
    if key not in value:
        return [f"{key} is missing"] if is_required else []
    text = value[key]
    if text is None and not is_required:
        return []
    if not isinstance(text, str):
        return [f"{key} is a JSON {_json_type(text)}, but must be text"]
    if is_required and not text.strip():
        return [f"{key} is empty"]
    return _content_problems(text, key)


def _content_problems(text: str, name: str) -> list[str]:
    if len(text) > MAX_TEXT_CHARS:
        return [f"{name} is {len(text)} characters long; at most {MAX_TEXT_CHARS} are allowed"]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return [f"{name} holds half of a surrogate pair, which is no character"]
    return []


def _history_problems(history: Any) -> list[str]:
    if history is None or history == []:
        return []
    if not isinstance(history, list):
        return [f"history is a JSON {_json_type(history)}, but must be a list of turns"]
    if len(history) > MAX_HISTORY_TURNS or len(history) % 2:
        return [f"history has {len(history)} turns; it needs pairs of user and assistant, {MAX_HISTORY_TURNS} at most"]
    problems = []
    roles: tuple[Role, Role] = ("user", "assistant")
    for position, turn in enumerate(history):
        name = f"history[{position}]"
        if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
            problems.append(f"{name} is not an object with role and content")
        elif turn["role"] != roles[position % 2]:
            problems.append(f"{name} must have the role {roles[position % 2]}")
        elif not isinstance(turn["content"], str) or not turn["content"].strip():
            problems.append(f"{name} has no text")
        else:
            problems += _content_problems(turn["content"], name)
    return problems


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", str: "string", list: "list", dict: "object", int: "number", float: "number"}
    return names[type(value)]


def _report(path: Path, problems: list[str]) -> str:
    count = len(problems)
    lines = [f"{path}: {count} bad {'row' if count == 1 else 'rows'}; mend or remove {'it' if count == 1 else 'them'}:"]
    lines += problems[:MAX_PROBLEMS_SHOWN]
    if count > MAX_PROBLEMS_SHOWN:
        lines.append(f"... and {count - MAX_PROBLEMS_SHOWN} more")
    return "\n".join(lines)
