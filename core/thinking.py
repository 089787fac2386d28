"""Parts what a reasoning model thinks aloud (`<think>…</think>`) from what it says, as the text comes. Pure.

A reply that only speaks of such a tag, in code or in quotation marks, keeps it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from core.messages import ReplyChunk

NAMES = ("think", "thinking", "thought", "reasoning")
CLOSINGS = {f"<{name}>": f"</{name}>" for name in NAMES} | {"[think]": "[/think]"}
FENCE_TICKS = 3
PIECE_CHARS = 4096  # what is held back is copied at every tag, so a long text goes through in pieces

_OPENING = re.compile("|".join(map(re.escape, CLOSINGS)), re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Parted:
    """A piece of a reply: `text` is for people and for the conversation, `thoughts` for neither."""

    text: str = ""
    thoughts: str = ""


class ThinkingFilter:
    """Parts one reply, however its pieces fall; what may become a tag is held back.

    Thoughts begin with a tag at the beginning or behind white space, outside code, and end with its like or with the
    reply. `is_open`: the prompt's last words have opened them already.
    """

    def __init__(self, *, is_open: bool = False) -> None:
        self._held = ""
        self._closing: str | None = CLOSINGS["<think>"] if is_open else None
        self._is_behind_thoughts = False  # the blanks there belong to neither
        self._code = _CodeWatch()
        self._last = ""  # the last character that was said

    def part(self, chunk: ReplyChunk) -> ReplyChunk:
        """An engine's next chunk, parted; the last one has everything that was held back."""
        parted = self.feed(chunk.text)
        rest = Parted() if chunk.finish_reason is None else self.flush()
        return replace(chunk, text=parted.text + rest.text, thoughts=parted.thoughts + rest.thoughts)

    def feed(self, text: str) -> Parted:
        """Add a piece; returns what can be told of it."""
        self._held += text
        said, thoughts = "", ""
        while True:
            if self._closing is not None:
                thought, is_closed = self._take_thought(self._closing)
                thoughts += thought
                if not is_closed:
                    return Parted(said, thoughts)
            else:
                word, is_opened = self._take_words()
                said += word
                if not is_opened:
                    return Parted(said, thoughts)

    def flush(self) -> Parted:
        """The reply is over: returns what was held back."""
        rest, self._held = self._held, ""
        return Parted(thoughts=rest) if self._closing is not None else Parted(rest)

    def _take_thought(self, closing: str) -> tuple[str, bool]:
        found = re.search(re.escape(closing), self._held, re.IGNORECASE | re.ASCII)
        if found is None:
            return self._take(len(self._held) - _begun(self._held, (closing,))), False
        thought = self._take(found.start())
        self._take(len(closing))
        self._closing, self._is_behind_thoughts = None, True
        return thought, True

    def _take_words(self) -> tuple[str, bool]:
        """What is said up to the next thoughts, and whether they begin."""
        if self._is_behind_thoughts:
            self._held = self._held.lstrip()
            opening = _OPENING.match(self._held)
        else:
            opening = None
        said = ""
        for found in _OPENING.finditer(self._held):
            if opening is not None:
                break
            said += self._say(found.start() - len(said))
            if self._may_open():
                opening = found
            else:
                said += self._say(found.end() - len(said))
        if opening is not None:
            self._take(len(opening[0]))
            self._closing = CLOSINGS[opening[0].lower()]
            return ("" if self._last == "" else said), True
        return said + self._say(self._speakable()), False

    def _may_open(self) -> bool:
        return (self._last == "" or self._last.isspace()) and not self._code.is_inside

    def _speakable(self) -> int:
        """How much of the held text is words for certain: not the blanks a reply begins with, nor a tag's beginning."""
        size = len(self._held) - _begun(self._held, tuple(CLOSINGS))
        return 0 if self._last == "" and not self._held[:size].strip() else size

    def _say(self, chars: int) -> str:
        words = self._take(chars)
        if words:
            self._is_behind_thoughts = False
            self._code.read(words)
            if self._last or words.strip():
                self._last = words[-1]
        return words

    def _take(self, chars: int) -> str:
        taken, self._held = self._held[:chars], self._held[chars:]
        return taken


class _CodeWatch:
    """Whether a text that grows is inside code, by its backticks."""

    def __init__(self) -> None:
        self._ticks = 0
        self._is_fenced = False
        self._is_inline = False

    @property
    def is_inside(self) -> bool:
        return self._is_fenced or self._is_inline or self._ticks > 0

    def read(self, text: str) -> None:
        for char in text:
            if char == "`":
                self._ticks += 1
                continue
            if self._ticks >= FENCE_TICKS:
                self._is_fenced = not self._is_fenced
            elif self._ticks:
                self._is_inline = not self._is_inline
            self._ticks = 0
            if char == "\n":
                self._is_inline = False


def without_thoughts(text: str) -> str:
    """What a whole reply says, in time that grows with its length alone."""
    parting = ThinkingFilter()
    pieces = [parting.feed(text[start : start + PIECE_CHARS]).text for start in range(0, len(text), PIECE_CHARS)]
    return "".join(pieces) + parting.flush().text


def opens_thoughts(prompt: str) -> bool:
    """Whether a rendered prompt ends inside thoughts, as some chat templates let every reply begin."""
    return prompt.rstrip().lower().endswith(tuple(CLOSINGS))


def _begun(text: str, tags: tuple[str, ...]) -> int:
    """The length of the longest end of the text with which one of the tags begins."""
    longest = min(len(text), max(map(len, tags)) - 1)
    lowered = [tag.lower() for tag in tags]
    ends = (text[len(text) - size :].lower() for size in range(longest, 0, -1))
    return next((len(end) for end in ends if any(tag.startswith(end) for tag in lowered)), 0)
