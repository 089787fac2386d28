"""One message as Slack keeps it, and what a test sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.fake_slack.users import User

if TYPE_CHECKING:
    from tests.fakes.fake_slack.channels import Channel


@dataclass(eq=False)
class Message:
    """A message, ephemeral ones included (`only_for` is then who sees it).

    `text` is mrkdwn, `markdown` what came as markdown_text or was streamed. `versions` are all texts it has shown.
    """

    ts: str
    channel: Channel
    author: User
    text: str = ""
    markdown: str | None = None
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    is_broadcast: bool = False
    username: str | None = None
    icons: dict[str, str] | None = None
    subtype: str | None = None
    only_for: User | None = None
    edited: dict[str, str] | None = None
    is_deleted: bool = False
    is_streaming: bool = False
    stream_ends_at: float = 0.0
    reactions: dict[str, list[User]] = field(default_factory=dict)
    pings: list[str] = field(default_factory=list)
    unfurls: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    @property
    def content(self) -> str:
        """All its words: markdown or text, else those of its blocks."""
        if self.markdown is not None:
            return self.markdown
        words = [words for block in self.blocks for words in _words(block)]
        return "\n".join(words) if words else self.text

    @property
    def everything(self) -> str:
        """Text, markdown and blocks, one after another: for looking whether something is said anywhere."""
        words = [words for block in self.blocks for words in _words(block)]
        return "\n".join([self.text, self.markdown or "", *words])

    @property
    def is_customized(self) -> bool:
        """Posted under another name or icon than the app's own."""
        return self.username is not None or self.icons is not None

    @property
    def name(self) -> str:
        """Who seems to speak."""
        return self.username or self.author.name

    @property
    def root_ts(self) -> str:
        return self.thread_ts or self.ts

    @property
    def elements(self) -> list[dict[str, Any]]:
        """Everything in its blocks that can be pressed or picked, each with its block_id."""
        return list(elements(self.blocks))

    @property
    def buttons(self) -> list[str]:
        """What its buttons say: a label, 👍 and 👎 of feedback buttons, the icon of an icon button."""
        return [label for element in self.elements for label in labels(element)]

    def keep_version(self) -> None:
        if not self.versions or self.versions[-1] != self.content:
            self.versions.append(self.content)

    def payload(self) -> dict[str, Any]:
        """The message of answers and inside events."""
        shown: dict[str, Any] = {"type": "message", "ts": self.ts, "text": self.text, "team": self.author.team_id}
        if self.author.is_bot:
            shown |= {"bot_id": self.author.bot_id, "app_id": self.author.app_id}
        if self.is_customized:
            shown |= {"subtype": "bot_message", "username": self.name, "icons": self.icons or {}}
        else:
            shown["user"] = self.author.id
            if self.author.is_bot:
                shown["bot_profile"] = self.author.bot_profile()
            else:
                shown["client_msg_id"] = f"client-{self.ts}"
        if self.subtype is not None:
            shown["subtype"] = self.subtype
        if self.thread_ts is not None:
            shown["thread_ts"] = self.thread_ts
        for name in ("blocks", "attachments", "files", "metadata", "edited"):
            if value := getattr(self, name):
                shown[name] = value
        if self.markdown is not None and not self.blocks:
            shown["blocks"] = [{"type": "markdown", "text": self.markdown}]
        if self.reactions:
            shown["reactions"] = [
                {"name": name, "count": len(who), "users": [one.id for one in who]}
                for name, who in self.reactions.items()
            ]  # fmt: skip
        return shown | self.channel.thread_facts(self)

    def line(self) -> str:
        state = "".join(
            word for word, is_so in ((" (deleted)", self.is_deleted), (" (streaming)", self.is_streaming)) if is_so
        )  # fmt: skip
        seen = f" (only for {self.only_for.name})" if self.only_for else ""
        return f"  {self.ts} {self.name}{seen}{state}: {self.content!r} {self.buttons}"


def _words(node: Any) -> Iterator[str]:
    """Every text of a block, buttons left out."""
    if isinstance(node, list):
        for one in node:
            yield from _words(one)
    elif isinstance(node, dict):
        if node.get("type") in ("button", "icon_button", "feedback_buttons"):
            return
        if isinstance(node.get("text"), str):
            yield node["text"]
        for name in ("text", "fields", "elements", "rows", "blocks", "accessory", "label", "hint"):
            if isinstance(node.get(name), dict | list):
                yield from _words(node[name])


def elements(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for one in (*block.get("elements", []), *(block.get(name) for name in ("accessory", "element"))):
            if isinstance(one, dict) and "action_id" in one:
                yield {**one, "block_id": block.get("block_id", "")}


def labels(element: dict[str, Any]) -> list[str]:
    if element["type"] == "feedback_buttons":
        return [element[side]["text"]["text"] for side in ("positive_button", "negative_button")]
    if element["type"] == "icon_button":
        return [element["icon"]]
    text = element.get("text") or element.get("placeholder") or {}
    return [text.get("text", "")] if element["type"] == "button" else []
