"""Splits a growing reply into messages of a platform's length, at places where a reader would. Knows no chat platform.

A page depends on nothing behind it but the beginning of the next one, so it stays as it is while the text grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from bot.chat.graphemes import last_break

MIN_LIMIT = 64  # room for a reopened fence, its end and some words
MAX_INDENT = 24
MAX_CHARACTER = 32  # code points of a character that is kept whole; a longer one is no writing any more

FENCE = "```"  # chat platforms open and close code with it wherever it stands
CLOSING = f"\n{FENCE}"

_LANGUAGE = re.compile(r"[\w+.#-]{0,20}\n", re.ASCII)
_BARE_OPENING = re.compile(r"(?:^|(?<=\n))[ \t]*```[\w+.#-]{0,20}$", re.ASCII)
_HALF_CLOSING = re.compile(r"\n[ \t]*`{1,2}$")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,9}[.)])\s")
_HEADING = re.compile(r"#{1,6}\s")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s)|[。！？]+(?![\ufe00-\ufe0f\u0300-\u036f\u200d])")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")


@dataclass(frozen=True, slots=True)
class Page:
    """One message. The text's own part begins behind `head` characters and ends before the last `tail` ones."""

    text: str
    head: int = 0
    tail: int = 0


def split_message(text: str, limit: int) -> list[str]:
    """The texts of `split_pages`."""
    return [page.text for page in split_pages(text, limit)]


def split_pages(text: str, limit: int) -> list[Page]:
    """The pages of a text, none longer than `limit` (at least 64) characters and none blank.

    A code fence, a list item and a word are kept in one piece unless one alone is longer than a page; a fence that has
    to be broken is closed and opened again with its language. A fence that is still open at the end is closed. While
    text is appended pages are added, and only the last one changes.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"a page of {limit} characters is too short; use at least {MIN_LIMIT}")
    pages: list[Page] = []
    rest, fence = text.rstrip(), ""
    while (rest := _without_margin(rest)).strip("` \n\t"):
        if fence and rest.lstrip().startswith(FENCE):  # the page before has closed it already
            rest, fence = rest.lstrip().removeprefix(FENCE), ""
            pages[-1] = replace(pages[-1], tail=0)
            continue
        room = limit - len(fence)
        capacity = room - len(CLOSING) if fence or FENCE in rest[: room + 1] else room
        is_last = len(rest) <= capacity
        end = len(rest) if is_last else _Window(rest[: capacity + 1], is_code=bool(fence)).cut()
        page = rest[:end].rstrip()
        is_broken_line = end < len(rest) and rest[end - 1] != "\n"
        rest = rest[end:].lstrip() if is_broken_line else rest[end:]
        opening, fence = fence, _fence_after(page, fence)
        if is_last and fence:
            page = _without_loose_end(page)
        if page:
            closing = CLOSING if _fence_after(page, opening) else ""
            pages.append(Page(opening + page + closing, len(opening), len(closing)))
    return pages


def _without_margin(text: str) -> str:
    """`text` without blank lines before it; its indentation stays if it is one."""
    text = text[_BLANK_LINES.match(text).end() :]  # type: ignore[union-attr]
    return text if len(text) - len(text.lstrip()) <= MAX_INDENT else text.lstrip()


def _without_loose_end(text: str) -> str:
    """`text`, which ends in code, without a fence that has just begun or has half ended."""
    return _HALF_CLOSING.sub("", _BARE_OPENING.sub("", text)).rstrip()


def _fence_after(text: str, fence: str) -> str:
    """The opening line of the fence that is open after `text`, "```python\\n"; empty where none is."""
    for at in _marks(text):
        language = _LANGUAGE.match(text, at + len(FENCE))
        fence = "" if fence else f"{FENCE}{language.group() if language else chr(10)}"
    return fence


def _marks(text: str) -> Iterator[int]:
    """Where code opens and closes."""
    at = text.find(FENCE)
    while at >= 0:
        yield at
        at = text.find(FENCE, at + len(FENCE))


@dataclass(frozen=True, slots=True)
class _Fence:
    """Code, `text[start:end]` with its fences; its content begins at `body`."""

    start: int
    end: int
    body: int


class _Window:
    """The beginning of a text that is longer than its page: one character more than the page can hold.

    Nothing behind the window counts. What has begun in it and not ended counts as going on behind it.
    """

    def __init__(self, text: str, *, is_code: bool) -> None:
        self._text = text
        self._room = len(text) - 1
        self._behind = len(text) + 1  # where what has not ended in the window ends
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._fences = list(self._find_fences(is_code=is_code))
        self._is_code = _mask(self._behind, ((fence.start, fence.end) for fence in self._fences))
        self._blocks: set[int] = set()  # lines that begin something new
        items = self._read_lines()
        pieces = [(fence.start, fence.end) for fence in self._fences] + items
        self._is_whole = _mask(self._behind, (piece for piece in pieces if piece[0] > 0))
        self._body = next((fence.body for fence in self._fences if fence.start == 0), 0)

    def cut(self) -> int:
        """Where the page ends: between blocks or lines if that leaves it half full, else after a sentence or word."""
        lines = self._allowed(self._lines)
        ends = [found.start() for found in _WORD_END.finditer(self._text)] + [fence.start for fence in self._fences]
        words = self._allowed(sorted(ends))
        hard = self._hard_cut()
        farthest = max([*lines[-1:], *words[-1:], *self._allowed([hard])], default=hard)
        is_code = self._is_code[farthest]
        sentences = [] if is_code else self._allowed([found.end() for found in _SENTENCE_END.finditer(self._text)])
        half = farthest // 2
        ways = (([at for at in lines if at in self._blocks], half), (lines, 0 if is_code else half), (sentences, half))
        return next((cuts[-1] for cuts, least in (*ways, (words, 0)) if cuts and cuts[-1] >= least), farthest)

    def _allowed(self, cuts: list[int]) -> list[int]:
        """The cuts that leave whole what could begin the next page, and something to show on this one."""
        return [
            at
            for at in cuts
            if not self._is_whole[at]
            and self._text[self._body : at].strip()
            and len(self._text[:at].rstrip()) <= self._room
        ]

    def _find_fences(self, *, is_code: bool) -> Iterator[_Fence]:
        marks = list(_marks(self._text))
        if is_code:
            yield _Fence(0, marks.pop(0) + len(FENCE) if marks else self._behind, 0)
        for opening, closing in zip_longest(marks[::2], marks[1::2]):
            line = self._text.rfind("\n", 0, opening) + 1
            start = opening if self._text[line:opening].strip() else line
            language = _LANGUAGE.match(self._text, opening + len(FENCE))
            body = language.end() if language else opening + len(FENCE)
            yield _Fence(start, self._behind if closing is None else closing + len(FENCE), body)

    def _read_lines(self) -> list[tuple[int, int]]:
        """Find the list items, and the lines that begin something new."""
        items: list[tuple[int, int]] = []
        fence_starts = {fence.start for fence in self._fences}
        item: int | None = None
        is_after_blank = False
        for at, end in zip_longest(self._lines, self._lines[1:]):
            if self._is_code[at]:
                continue
            line = self._text[at:end]
            is_item, is_blank = bool(_ITEM.match(line)), line.isspace() and end is not None
            is_new = bool(_HEADING.match(line)) or at in fence_starts
            if is_new or is_after_blank or (is_item and item is None):
                self._blocks.add(at)
            if is_item or is_blank or (is_new and not line[:1].isspace()):
                if item is not None:
                    items.append((item, at))
                item = at if is_item else None
            is_after_blank = is_blank
        return items if item is None else [*items, (item, self._behind)]

    def _hard_cut(self) -> int:
        """The last place in the window that breaks neither a fence nor a character of several code points."""
        text, at, after_mark = self._text, self._room, 0
        for mark in _marks(text):
            if mark < at < mark + len(FENCE):
                return mark
            if mark + len(FENCE) <= at:
                after_mark = mark + len(FENCE)
        while at > after_mark and text[at - 1] == text[at] == "`":  # may be a fence that ends behind the window
            at -= 1
        whole = last_break(text, at)
        has_words = bool(text[self._body : whole].strip())
        return whole if has_words and after_mark <= whole and at - whole < MAX_CHARACTER else at


def _mask(size: int, pieces: Iterable[tuple[int, int]]) -> bytearray:
    """1 for every place strictly inside one of the pieces."""
    mask = bytearray(size)
    for start, end in pieces:
        mask[start + 1 : end] = b"\1" * (min(end, size) - start - 1)
    return mask
