"""What Slack finds in a text: whom it calls, and which links it holds. Knows no messages.

Escaping &, < and > is the documented way to keep mrkdwn from calling anybody. What happens to entities and backslashes
in *markdown* text is not documented, so there a call counts even when it only appears after they are decoded.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

CALL = re.compile(r"<(?:!(?:channel|here|everyone|group)\b|!subteam\^|@[UWB][A-Z0-9]{2,})[^<>]*>", re.IGNORECASE)
PLAIN_CALL = re.compile(r"(?<![\w@])@(?:channel|here|everyone)\b", re.IGNORECASE)
LINK = re.compile(r"https?://[^\s<>|)\]]+")
BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")
MARKDOWN, MRKDWN = "markdown", "mrkdwn"


def calls_in(text: str, kind: str = MRKDWN, *, finds_names: bool = False) -> list[str]:
    """The parts of a text that notify somebody. `finds_names`: link_names or parse=full were asked for."""
    found = CALL.findall(text)
    if kind == MARKDOWN:
        found = [_decoded(one) for one in found]
        found += [one for one in CALL.findall(_decoded(text)) if one not in found]
    return found + (PLAIN_CALL.findall(text) if finds_names else [])


def _decoded(text: str) -> str:
    return html.unescape(BACKSLASH.sub(r"\1", text))


def links_in(text: str) -> list[str]:
    return LINK.findall(text)


def texts_of(blocks: Any) -> Iterator[tuple[str, str]]:
    """Every text of blocks that Slack formats, and how. Plain text calls nobody; a rich text's user element does."""
    if isinstance(blocks, list):
        for one in blocks:
            yield from texts_of(one)
    elif isinstance(blocks, dict):
        kind, text = blocks.get("type"), blocks.get("text")
        if kind in (MARKDOWN, MRKDWN) and isinstance(text, str):
            yield kind, text
        elif kind == "user" and "user_id" in blocks:
            yield MRKDWN, f"<@{blocks['user_id']}>"
        elif kind == "usergroup" and "usergroup_id" in blocks:
            yield MRKDWN, f"<!subteam^{blocks['usergroup_id']}>"
        elif kind == "broadcast" and "range" in blocks:
            yield MRKDWN, f"<!{blocks['range']}>"
        for value in blocks.values():
            if isinstance(value, dict | list):
                yield from texts_of(value)
