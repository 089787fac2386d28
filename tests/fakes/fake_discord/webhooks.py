"""Webhooks of channels, which post under any name. Knows no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.fake_discord.users import User, WebhookAuthor

if TYPE_CHECKING:
    from tests.fakes.fake_discord.channels import Channel


@dataclass(eq=False)
class Webhook:
    id: int
    token: str
    channel: Channel
    name: str
    creator: User
    avatar: str | None = None

    @property
    def owned_by_bot(self) -> bool:
        return self.creator is self.channel.world.bot

    def face(self, username: str | None, avatar_url: str | None) -> WebhookAuthor:
        """The author of one of its messages. A given picture's address stands where Discord would keep a hash."""
        return WebhookAuthor(self.id, username or self.name, bot=True, avatar=avatar_url or self.avatar)

    def delete(self) -> None:
        """A moderator deletes it; posting through it is then refused with 10015."""
        world = self.channel.world
        world.webhooks.pop(self.id, None)
        self.tell()

    def tell(self) -> None:
        guild = self.channel.guild
        assert guild is not None
        event = {"guild_id": str(guild.id), "channel_id": str(self.channel.id)}
        self.channel.world.emit("WEBHOOKS_UPDATE", event, channel=self.channel)

    def payload(self) -> dict[str, Any]:
        guild = self.channel.guild
        shown = {
            "id": str(self.id), "type": 1, "channel_id": str(self.channel.id),
            "guild_id": str(guild.id) if guild else None, "name": self.name, "avatar": self.avatar,
            "application_id": str(self.channel.world.application.id) if self.owned_by_bot else None,
            "user": self.creator.payload(),
        }  # fmt: skip
        # A token is shown only to the application that made the webhook, or for a webhook that a person made.
        return {**shown, "token": self.token}
