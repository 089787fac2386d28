"""Accounts: people, other bots, the bot under test. What they may do is their guild's affair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class User:
    id: int
    name: str
    bot: bool = False
    avatar: str | None = None
    dms_open: bool = True

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> dict[str, Any]:
        shown = {
            "id": str(self.id), "username": self.name, "global_name": None if self.bot else self.name.title(),
            "avatar": self.avatar, "discriminator": "0", "public_flags": 0, "flags": 0, "primary_guild": None,
        }  # fmt: skip
        return {**shown, "bot": True} if self.bot else shown

    def own_payload(self) -> dict[str, Any]:
        """What the account itself reads at /users/@me."""
        return {**self.payload(), "mfa_enabled": False, "locale": "en-US", "verified": True, "email": None}


@dataclass(eq=False)
class WebhookAuthor(User):
    """The face of one webhook message: name and avatar are the message's own, the id is the webhook's."""

    def payload(self) -> dict[str, Any]:
        return {**super().payload(), "global_name": None, "discriminator": "0000", "bot": True}
