"""Block Kit's rules, as far as bots break them: kinds, required parts and lengths.

https://docs.slack.dev/reference/block-kit
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
MARKDOWN_CHARS = 12_000  # all markdown blocks of a payload together
TEXT_CHARS = {"section": 3000, "header": 150, "context": 2000}
KINDS = {
    "actions", "context", "context_actions", "divider", "file", "header", "image", "input", "markdown", "rich_text",
    "section", "table", "task_card", "plan", "video", "alert", "card", "carousel",
}  # fmt: skip
MESSAGE_ONLY = {"context_actions", "markdown", "table", "task_card", "plan"}
ELEMENTS = {"actions": 25, "context": 10, "context_actions": 5}


def faults_of(blocks: Any, *, is_view: bool = False) -> list[str]:
    """Sentences about what Slack would refuse."""
    if not isinstance(blocks, list):
        return ["blocks must be an array"]
    found = [*_faults(blocks, is_view)]
    if len(blocks) > (VIEW_BLOCKS if is_view else MESSAGE_BLOCKS):
        found.append(f"no more than {VIEW_BLOCKS if is_view else MESSAGE_BLOCKS} items allowed")
    return found


def markdown_chars(blocks: Any) -> int:
    return sum(len(one.get("text", "")) for one in blocks or [] if one.get("type") == "markdown")


def _faults(blocks: list[Any], is_view: bool) -> Iterator[str]:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        where, kind = f"/blocks/{index}", block.get("type")
        if kind not in KINDS or (is_view and kind in MESSAGE_ONLY):
            yield f"unsupported type: {kind} [{where}]"
            continue
        if (block_id := block.get("block_id")) is not None:
            if not 0 < len(block_id) <= 255:
                yield f"block_id must be 1 to 255 characters [{where}]"
            if block_id in seen:
                yield f"block_id {block_id!r} already exists [{where}]"
            seen.add(block_id)
        yield from _faults_of_block(block, kind, where)


def _faults_of_block(block: dict[str, Any], kind: str, where: str) -> Iterator[str]:
    if kind == "section" and not (block.get("text") or block.get("fields")):
        yield f"section needs text or fields [{where}]"
    if kind in ("section", "header") and block.get("text"):
        yield from _text(block["text"], f"{where}/text", TEXT_CHARS[kind], is_plain=kind == "header")
    for number, one in enumerate(block.get("fields") or []):
        yield from _text(one, f"{where}/fields/{number}", 2000)
    yield from _faults_inside(block, kind, where)


def _faults_inside(block: dict[str, Any], kind: str, where: str) -> Iterator[str]:
    if kind == "markdown" and not block.get("text"):
        yield f"markdown needs text [{where}]"
    if kind in ELEMENTS:
        inside = block.get("elements")
        if not inside or len(inside) > ELEMENTS[kind]:
            yield f"{kind} needs 1 to {ELEMENTS[kind]} elements [{where}]"
    for number, element in enumerate(block.get("elements") or []):
        if kind == "context" and element.get("type") in ("mrkdwn", "plain_text"):
            yield from _text(element, f"{where}/elements/{number}", TEXT_CHARS["context"])
        elif kind in ("actions", "context_actions"):
            yield from _element(element, kind, f"{where}/elements/{number}")
    if kind == "input":
        yield from _text(block.get("label") or {}, f"{where}/label", 2000, is_plain=True)
        yield from _element(block.get("element") or {}, kind, f"{where}/element")
    if "accessory" in block:
        yield from _element(block["accessory"], kind, f"{where}/accessory")


def _text(text: dict[str, Any], where: str, limit: int, is_plain: bool = False) -> Iterator[str]:
    if text.get("type") not in (("plain_text",) if is_plain else ("plain_text", "mrkdwn")):
        yield f"unsupported text type {text.get('type')} [{where}]"
    if not isinstance(text.get("text"), str) or not text["text"]:
        yield f"text must not be empty [{where}]"
    elif len(text["text"]) > limit:
        yield f"must be less than {limit + 1} characters [{where}]"


def _element(element: dict[str, Any], kind: str, where: str) -> Iterator[str]:
    what = element.get("type")
    only_here = what in ("feedback_buttons", "icon_button")
    if only_here != (kind == "context_actions"):
        yield f"{what} is not allowed in {kind} [{where}]"
    if what == "image":
        return
    if not element.get("action_id") or len(element["action_id"]) > 255:
        yield f"action_id must be 1 to 255 characters [{where}]"
    if len(element.get("value") or "") > 2000:
        yield f"value must be less than 2001 characters [{where}]"
    yield from _faults_of_kind(element, str(what), where)


def _faults_of_kind(element: dict[str, Any], what: str, where: str) -> Iterator[str]:
    if what == "button":
        yield from _text(element.get("text") or {}, f"{where}/text", 75, is_plain=True)
    elif what == "icon_button":
        if element.get("icon") != "trash":
            yield f"unsupported icon {element.get('icon')!r} [{where}]"
        yield from _text(element.get("text") or {}, f"{where}/text", 75, is_plain=True)
    elif what == "feedback_buttons":
        for side in ("positive_button", "negative_button"):
            button = element.get(side) or {}
            yield from _text(button.get("text") or {}, f"{where}/{side}/text", 75, is_plain=True)
            if not button.get("value") or len(button["value"]) > 2000:
                yield f"value must be 1 to 2000 characters [{where}/{side}]"
    elif "options" in element:
        yield from _options(element["options"], where)


def _options(options: list[dict[str, Any]], where: str) -> Iterator[str]:
    if not 0 < len(options) <= 100:
        yield f"needs 1 to 100 options [{where}]"
    for number, option in enumerate(options):
        yield from _text(option.get("text") or {}, f"{where}/options/{number}/text", 75)
        if not option.get("value") or len(option["value"]) > 150:
            yield f"value must be 1 to 150 characters [{where}/options/{number}]"
