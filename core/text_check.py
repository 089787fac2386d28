"""What is no text, and what only a terminal would obey, wherever words are written down."""

from __future__ import annotations

from core.errors import InvalidInput

# Every control character but tab and newline: others' words must not steer a terminal.
CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def without_controls(text: str) -> str:
    """The text as a terminal may show it."""
    return text.translate(CONTROLS)


def check_text(what: str, text: str) -> None:
    """JSON can carry half of a surrogate pair, which is no text, and NUL, which PostgreSQL cannot hold.

    `what` begins the sentence. Raises InvalidInput.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{what} holds a broken character at position {error.start}; send valid Unicode text."
        ) from error
    if "\x00" in text:
        raise InvalidInput(f"{what} holds a NUL character at position {text.index(chr(0))}; send it without.")
