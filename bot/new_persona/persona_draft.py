"""A persona that is not on disk yet: all that its folder will hold. Knows no cards and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.messages import ChatMessage


@dataclass(frozen=True, slots=True)
class Row:
    """A row of train.jsonl or eval.jsonl: what a user asks, and how the persona replies, after the turns before it."""

    instruction: str
    output: str
    input: str = ""
    history: tuple[ChatMessage, ...] = ()

    def to_line(self) -> str:
        row: dict[str, Any] = {"instruction": self.instruction, "input": self.input, "output": self.output}
        if self.history:
            row["history"] = [turn.to_dict() for turn in self.history]
        return json.dumps(row, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class PersonaDraft:
    """What a new persona's files say. `avatar` is a PNG."""

    slug: str
    name: str
    description: str
    greeting: str
    system_prompt: str
    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    card: str
    emoji: str = "🎭"
    avatar: bytes | None = None
    catchphrases: tuple[str, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Every file of the folder by its name."""
        texts = {
            "persona.toml": self._toml(),
            "system_prompt.md": f"{self.system_prompt}\n",
            "train.jsonl": "".join(row.to_line() for row in self.train),
            "eval.jsonl": "".join(row.to_line() for row in self.held_out),
            "CARD.md": f"{self.card}\n",
        }
        pictures = {} if self.avatar is None else {"avatar.png": self.avatar}
        return {name: text.encode() for name, text in texts.items()} | pictures

    def _toml(self) -> str:
        """A TOML string may hold what a JSON string may, as long as no control character is in it."""
        fields = {name: getattr(self, name) for name in ("name", "description", "emoji", "greeting")}
        if self.catchphrases:
            fields["catchphrases"] = self.catchphrases
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items()]
        if self.sampling:
            lines.append("\n[sampling]\n")
            lines += [f"{name} = {value}\n" for name, value in self.sampling.items()]
        return "".join(lines)
