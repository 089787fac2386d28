"""The buttons under a reply as Slack draws them, and its forms. Knows no store; presses.py says what they do.

A button's value is the exchange it is about, so it works after a restart, however old its message is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.chat.buttons import ReplyButtons

PREFIX = "reply:"  # what every action_id begins with
Block = dict[str, Any]


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": True}


def button(verb: str, exchange_id: str, label: str, **look: Any) -> Block:
    """A button for one reply. `look` is what Slack's button element takes."""
    return {"type": "button", "action_id": f"{PREFIX}{verb}", "value": exchange_id, "text": plain(label), **look}


def actions(*buttons: Block) -> Block:
    return {"type": "actions", "elements": list(buttons)}


def modal(callback_id: str, title: str, submit: str, where: Mapping[str, Any], *fields: Block) -> Block:
    """A form. `where` comes back with what is written into it."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": json.dumps(where),
        "title": plain(title),
        "submit": plain(submit),
        "close": plain("Cancel"),
        "blocks": list(fields),
    }


def input_block(name: str, label: str, element: Block) -> Block:
    """A field of a form, by whose name its value is found."""
    return {"type": "input", "block_id": name, "label": plain(label), "element": {"action_id": name, **element}}


def blocks_of(due: ReplyButtons | None) -> list[Block]:
    """The buttons under a reply, or under one that is being written: ⏹. Slack knows one icon, the bin."""
    if due is None:
        return []
    exchange_id, index, count = due.exchange_id, due.index, due.count
    if due.is_duel:
        votes = (("first", "🅰️ A is better"), ("tie", "🤝 As good"), ("second", "🅱️ B is better"))
        return [actions(*(button(verb, exchange_id, label) for verb, label in votes))]
    if due.is_running:
        return [actions(button("stop", exchange_id, "⏹ Stop"))]
    thumbs = {
        "type": "feedback_buttons",
        "action_id": f"{PREFIX}judge",
        "positive_button": {"text": plain("👍"), "value": f"up:{exchange_id}"},
        "negative_button": {"text": plain("👎"), "value": f"down:{exchange_id}"},
    }
    bin_ = {
        "type": "icon_button",
        "action_id": f"{PREFIX}delete",
        "icon": "trash",
        "text": plain("Delete"),
        "value": exchange_id,
    }
    row = [button("again", exchange_id, "🔄", accessibility_label="Write another answer")]
    if count > 1:
        before, after = ([button("previous", exchange_id, "◀")] if index else []), []
        if index < count - 1:
            after = [button("next", exchange_id, "▶")]
        place = button("place", exchange_id, f"{index + 1}/{count}")
        best = [button("best", exchange_id, "✅ Best", style="primary")] if due.is_finished else []
        row += [*before, place, *after, *best]
    return [{"type": "context_actions", "elements": [*([thumbs] if due.is_finished else []), bin_]}, actions(*row)]


def verbs_in(message: Mapping[str, Any]) -> set[str]:
    """What the buttons of one of our messages do."""
    return {str(element.get("action_id", "")).removeprefix(PREFIX) for element in _elements(message)}


def values_in(message: Mapping[str, Any]) -> set[str]:
    """The exchanges that the buttons of one of our messages are about."""
    return {str(element.get("value", "")) for element in _elements(message)}


def _elements(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [element for block in message.get("blocks") or () for element in block.get("elements") or ()]
