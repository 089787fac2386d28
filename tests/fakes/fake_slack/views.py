"""A modal or an App Home, as the bot made it and somebody sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.fake_slack.messages import elements, labels
from tests.fakes.fake_slack.users import User


@dataclass(eq=False)
class View:
    """`form` is what the bot sent. `errors` are those of the last submission, by block_id."""

    id: str
    form: dict[str, Any]
    user: User
    team_id: str
    app_id: str
    bot_id: str
    root_id: str
    previous_id: str | None = None
    external_id: str = ""
    hash: str = ""
    is_open: bool = True
    errors: dict[str, str] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return list(self.form.get("blocks", []))

    @property
    def title(self) -> str:
        return str((self.form.get("title") or {}).get("text", ""))

    @property
    def content(self) -> str:
        """All its words, for looking whether something is said."""
        return "\n".join(_texts(self.form))

    @property
    def buttons(self) -> list[str]:
        return [label for element in elements(self.blocks) for label in labels(element)]

    def payload(self, values: dict[str, Any] | None = None) -> dict[str, Any]:
        kind = self.form["type"]
        return {
            "id": self.id, "team_id": self.team_id, "type": kind, "blocks": self.blocks,
            "private_metadata": self.form.get("private_metadata", ""), "callback_id": self.form.get("callback_id", ""),
            "state": {"values": values or {}}, "hash": self.hash, "title": self.form.get("title"),
            "clear_on_close": False, "notify_on_close": bool(self.form.get("notify_on_close")),
            "close": self.form.get("close"), "submit": self.form.get("submit"), "previous_view_id": self.previous_id,
            "root_view_id": self.root_id, "app_id": self.app_id, "external_id": self.external_id,
            "app_installed_team_id": self.team_id, "bot_id": self.bot_id,
        }  # fmt: skip


def _texts(node: Any) -> list[str]:
    if isinstance(node, list):
        return [text for one in node for text in _texts(one)]
    if isinstance(node, dict):
        return [
            text for name, value in node.items()
            for text in ([value] if name in ("text", "initial_value") and isinstance(value, str) else _texts(value))
        ]  # fmt: skip
    return []
