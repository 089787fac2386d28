"""What the playground's events hand to Gradio: the chat as it draws it, a session's name, an error as a toast."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from bot.web.api_errors import sentence_of
from bot.web.playground_chat import Chat, Turn, sendable
from bot.web.playground_text import reply_markdown, verbatim
from core.errors import PersonasError

FEEDBACK = {True: "Like", False: "Dislike", None: None}  # as Gradio calls thumbs


def session_of(request: gr.Request) -> str:
    return str(request.session_hash)


def said(error: PersonasError) -> str:
    """The error's sentence for a page; it may quote what was sent."""
    return escape(sendable(sentence_of(error)))


def shown(chat: Chat) -> list[Any]:
    """The chat for Gradio, which would change the white space of a content that is a plain string."""
    return [{"role": turn.role, "content": {"type": "text", "text": _content(turn)}} for turn in chat]


def pressed(thumbs: Sequence[bool | None]) -> list[str | None]:
    """Which thumb is pressed below each reply. Gradio keeps that by the reply's place, so every change is told."""
    return [FEEDBACK[thumb] for thumb in thumbs]


def _content(turn: Turn) -> str:
    if turn.role == "user":
        return verbatim(turn.text)
    notes = "".join(f"\n\n<small>{verbatim(note)}</small>" for note in turn.notes)
    return f"<small>{verbatim(turn.author)}</small>\n\n{reply_markdown(turn.text) or '…'}{notes}"
