"""A message as Slack's events and histories tell it, read once. Knows no Web API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.chat.conversation import FILES_UNREAD
from bot.slack_chat import names

SPOKEN = (None, "file_share", "thread_broadcast", "me_message", "bot_message")
SHARED_UNREAD = "I do not read messages that are shared or forwarded; paste the words themselves."


@dataclass(frozen=True, slots=True)
class Heard:
    """What somebody wrote. `user` is a person, or a bot without one; `remarks` name what cannot be read."""

    team: str
    channel: str
    ts: str
    thread_ts: str | None
    user: str
    text: str
    is_bot: bool = False
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: Mapping[str, Any], *, channel: str, team: str) -> Self | None:
        """None for what nobody said: that somebody joined, say."""
        author = message.get("user") or message.get("bot_id")
        if message.get("subtype") not in SPOKEN or not author or message.get("hidden"):
            return None
        text, attachments = message.get("text") or "", message.get("attachments") or ()
        is_shared = any(one.get("is_share") or one.get("is_msg_unfurl") for one in attachments)
        is_wordless = not text.strip() and bool(message.get("blocks") or attachments)
        due = {FILES_UNREAD: bool(message.get("files")) or (is_wordless and not is_shared), SHARED_UNREAD: is_shared}
        return cls(
            team=team,
            channel=channel,
            ts=message["ts"],
            thread_ts=message.get("thread_ts"),
            user=author,
            text=text,
            is_bot="bot_id" in message,
            remarks=tuple(remark for remark, is_due in due.items() if is_due),
        )

    @property
    def key(self) -> str:
        return names.message_key(self.channel, self.ts)

    @property
    def user_id(self) -> str:
        return names.user_id(self.user)

    @property
    def root_ts(self) -> str:
        """The thread it stands in, or the one that its answer begins."""
        return self.thread_ts or self.ts

    @property
    def places(self) -> tuple[str, ...]:
        return names.places_of(self.team, self.channel, self.root_ts)

    @property
    def conversation_id(self) -> str:
        return names.thread_place(self.channel, self.root_ts)
