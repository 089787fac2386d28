"""Tokens to text as they come: whole characters only, and never a piece of a stop string. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# A character has 4 bytes at most, and a token at least one of them, unless it shows nothing.
CHARACTER_TOKENS = 4
MAX_PENDING = 4 * CHARACTER_TOKENS
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class StopStringFilter:
    """Passes text on until the first stop string is complete; holds back what may become one.

    The stop string that is complete first wins, whatever the borders of the pieces.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self.is_stopped = False

    def feed(self, text: str) -> str:
        """Add a piece; returns what can be shown."""
        if self.is_stopped or not self._stop:
            return "" if self.is_stopped else text
        self._held += text
        found = [(at + len(stop), at) for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self.is_stopped = True
            return self._release(min(found)[1])
        return self._release(len(self._held) - self._held_chars())

    def flush(self) -> str:
        """The reply is over: returns what was held back."""
        return "" if self.is_stopped else self._release(len(self._held))

    def _release(self, chars: int) -> str:
        shown, self._held = self._held[:chars], self._held[chars:]
        return shown

    def _held_chars(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        longest = min(len(self._held), max(map(len, self._stop)) - 1)
        return next((n for n in range(longest, 0, -1) if any(s.startswith(self._held[-n:]) for s in self._stop)), 0)


class Detokenizer:
    """Text of one reply, token by token.

    Only the tokens since the last whole character are decoded again, behind the few before them that some decoders
    need to place spaces. A decoder writes an unfinished character as U+FFFD, so text that ends in one waits. Whatever a
    model writes, no more than MAX_PENDING tokens wait, so that a reply takes time in proportion to its length.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._filter = StopStringFilter(stop)
        self._tokens: list[int] = []
        self._context = ""  # text of the tokens that are kept for their effect on what follows
        self._context_tokens = 0

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string was written."""
        return self._filter.is_stopped

    def feed(self, token: int) -> str:
        """Add a token; returns the text that can be shown now."""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        if not text.endswith(REPLACEMENT):
            return self._filter.feed(self._take(text))
        if len(self._tokens) - self._context_tokens > MAX_PENDING:
            return self._filter.feed(self._take_broken(text))
        return ""

    def flush(self) -> str:
        """The reply is over: returns everything that was held back, unfinished characters as U+FFFD."""
        return self._filter.feed(self._take(self._decode(self._tokens))) + self._filter.flush()

    def _take(self, text: str) -> str:
        new = text[len(self._context) :]
        if not new:  # special tokens show nothing, and leave the context to those that follow
            if len(self._tokens) - self._context_tokens > MAX_PENDING:
                del self._tokens[self._context_tokens :]
            return ""
        self._tokens = self._tokens[self._context_tokens :]
        self._context_tokens = len(self._tokens)
        self._context = self._decode(self._tokens)
        return new

    def _take_broken(self, text: str) -> str:
        """Let go of tokens that never became a character, cut where no character can have begun."""
        cut = len(self._tokens) - CHARACTER_TOKENS
        for kept in range(CHARACTER_TOKENS, 2 * CHARACTER_TOKENS):
            cut = len(self._tokens) - kept
            if self._decode(self._tokens[:cut]) + self._decode(self._tokens[cut:]) == text:
                break
        rest = self._tokens[cut:]
        self._tokens = self._tokens[:cut]
        shown = self._take(self._decode(self._tokens))
        self._tokens = [*self._tokens, *rest]
        return shown
