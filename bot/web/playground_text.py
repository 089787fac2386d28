"""Text for a part of the page that reads Markdown, written so that every character of it is shown.

What people wrote, and names, greetings and descriptions, are shown as they are. Replies are Markdown, without HTML.
Knows no component of the page.
"""

from __future__ import annotations

import re
from itertools import groupby

from markdown_it import MarkdownIt

# Every sign that Markdown, its extensions or HTML give a meaning, and white space, which they fold and trim.
SIGNS = re.compile(r"[!-/:-@\[-`{-~]|[^\S ]|^ | (?= )| $")
CODE_SPAN = re.compile(r"(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# HTML; `__init__`, which people who talk about Python do not mean to be bold; a link's definition, which would not be
# shown at all, in a list or a quotation neither.
MARKS = re.compile(r"[&<]|_(?=_)|(?<=_)_|\[(?=(?:[^\[\]\\]|\\.)+\]:)", re.DOTALL)
BLOCKS = MarkdownIt("commonmark").disable("html_block")


def verbatim(text: str) -> str:
    """Markdown that is shown as exactly this text, on one line; where it is to keep its lines, CSS says so."""
    return SIGNS.sub(_entity, text)


def code(text: str) -> str:
    """Markdown for a name in code type; one that would end its code span early is shown in plain type."""
    return verbatim(text) if "`" in text else f"`{text}`"


def reply_markdown(text: str) -> str:
    """A reply's Markdown, in which HTML, entities and link definitions are shown as they were written."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # as Markdown counts lines
    lines = text.split("\n")
    code: set[int] = set()
    for token in BLOCKS.parse(text):
        if token.type in ("fence", "code_block") and token.map is not None:
            code.update(range(*token.map))
    parts = groupby(range(len(lines)), key=code.__contains__)
    texts = ((is_code, "\n".join(lines[number] for number in numbers)) for is_code, numbers in parts)
    return "\n".join(text if is_code else _shown(text) for is_code, text in texts)


def _shown(text: str) -> str:
    """Markdown without code blocks: all but its code spans is escaped."""
    parts: list[str] = []
    end = 0
    for span in CODE_SPAN.finditer(text):
        if "\n\n" in span[0]:
            continue  # a code span ends with its paragraph
        parts += [MARKS.sub(_entity, text[end : span.start()]), span[0]]
        end = span.end()
    return "".join([*parts, MARKS.sub(_entity, text[end:])])


def _entity(sign: re.Match[str]) -> str:
    """The sign as HTML writes it by number. The noughts tell the page's copy button (`look.HEAD`) that it was ours."""
    return f"&#00{ord(sign[0])};"
