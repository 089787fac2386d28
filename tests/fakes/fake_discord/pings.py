"""Who is called by a message, and which requests leave that to what the text says. Knows no events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.fakes.fake_discord.users import User

# What creates or edits a message; the answer to an interaction does in two of its kinds.
WRITES = {
    ("POST", "/channels/{channel_id}/messages"),
    ("PATCH", "/channels/{channel_id}/messages/{message_id}"),
    ("POST", "/webhooks/{webhook_id}/{webhook_token}"),
    ("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/@original"),
    ("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"),
}
CALLBACK = ("POST", "/interactions/{interaction_id}/{interaction_token}/callback")
MESSAGE_CALLBACKS = (4, 7)


@dataclass(frozen=True)
class Pings:
    """Who was notified by a message. Falsy when nobody was."""

    users: tuple[User, ...] = ()
    roles: tuple[int, ...] = ()
    everyone: bool = False

    def __bool__(self) -> bool:
        return bool(self.users or self.roles or self.everyone)


def mentioned(content: str) -> tuple[list[int], list[int], bool]:
    """Users, roles, and whether everyone is named in a text."""
    users = [int(number) for number in re.findall(r"<@!?(\d+)>", content)]
    roles = [int(number) for number in re.findall(r"<@&(\d+)>", content)]
    return users, roles, re.search(r"@(everyone|here)\b", content) is not None


def may_ping(method: str, route: str, body: Any) -> bool:
    """Whether a request writes a message in which somebody could be called, whatever it happens to say."""
    if (method, route) == CALLBACK and body["type"] in MESSAGE_CALLBACKS:
        body = body.get("data")
    elif (method, route) not in WRITES:
        return False
    allowed = (body or {}).get("allowed_mentions") or {}
    return "parse" not in allowed or any(allowed.values())
