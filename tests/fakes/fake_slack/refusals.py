"""How Slack says no: `{"ok": false, "error": ...}`, with HTTP 200 for all but rate limits."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer that is not ok. `body` is the JSON that Slack sends with it."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.body = {"ok": False, "error": error, **more}


def missing_scope(needed: str, provided: set[str]) -> Refusal:
    return Refusal("missing_scope", needed=needed, provided=",".join(sorted(provided)))


def invalid_blocks(*sentences: str, error: str = "invalid_blocks") -> Refusal:
    messages = [f"[ERROR] {sentence}" for sentence in sentences]
    return Refusal(error, response_metadata={"messages": messages})


def invalid_arguments(*sentences: str) -> Refusal:
    messages = [f"[ERROR] {sentence}" for sentence in sentences]
    return Refusal("invalid_arguments", response_metadata={"messages": messages})
