"""Asking a persona about somebody's message: the words around it, the same on every platform. Pure."""

from __future__ import annotations

SUGGESTED = "What do you think about this?"
HERE, ANYBODY = "*", "Whoever answers here"  # an option beside the personas; no slug is like it
NO_WORDS = "There are no words in this message that I could read; choose another one."


def question_about(author: str, text: str, question: str) -> str:
    """One turn of the person who asks: whose message it is, what it says, and what they want to know."""
    return f"{author} wrote:\n\n{text}\n\n{question}"
