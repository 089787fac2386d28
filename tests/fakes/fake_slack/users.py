"""Accounts of the workspace: people and bots, as users.info and bots.info describe them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PICTURE = "https://avatars.example/{}.png"


@dataclass(eq=False)
class User:
    """One account. A bot has an id of its own kind (`B…`) beside its user's, and belongs to an app."""

    id: str
    name: str
    team_id: str
    bot_id: str | None = None
    app_id: str | None = None
    is_admin: bool = False
    is_deleted: bool = False

    @property
    def is_bot(self) -> bool:
        return self.bot_id is not None

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> dict[str, Any]:
        """The user of users.info."""
        names = {"real_name": self.name.title(), "display_name": self.name}
        profile = {
            **names, "real_name_normalized": self.name.title(), "display_name_normalized": self.name,
            "team": self.team_id, "title": "", "phone": "", "skype": "", "status_text": "", "status_emoji": "",
            "status_expiration": 0, "avatar_hash": "0", **({"bot_id": self.bot_id} if self.bot_id else {}),
            **({"api_app_id": self.app_id} if self.app_id else {}),
            **{f"image_{size}": PICTURE.format(size) for size in (24, 32, 48, 72, 192, 512)},
        }  # fmt: skip
        return {
            "id": self.id, "team_id": self.team_id, "name": self.name, "deleted": self.is_deleted, "color": "9f69e7",
            "real_name": self.name.title(), "tz": "Etc/UTC", "tz_label": "UTC", "tz_offset": 0, "profile": profile,
            "is_admin": self.is_admin, "is_owner": False, "is_primary_owner": False, "is_restricted": False,
            "is_ultra_restricted": False, "is_bot": self.is_bot, "is_app_user": False, "updated": 1_700_000_000,
        }  # fmt: skip

    def bot_profile(self) -> dict[str, Any]:
        """What stands beside a bot's messages."""
        icons = {f"image_{size}": PICTURE.format(size) for size in (36, 48, 72)}
        return {
            "id": self.bot_id, "app_id": self.app_id, "name": self.name, "deleted": False, "icons": icons,
            "updated": 1_700_000_000, "team_id": self.team_id,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"{self.name} ({self.id})"
