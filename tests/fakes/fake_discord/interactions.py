"""Interactions: a person's use of a command, button, select or modal, and everything the bot answered to it."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.fakes.fake_discord.refusals import Refusal, invalid_webhook_token, unknown
from tests.fakes.fake_discord.users import User
from tests.running.patience import TIMEOUT_S

if TYPE_CHECKING:
    from tests.fakes.fake_discord.channels import Channel
    from tests.fakes.fake_discord.messages import Message
    from tests.fakes.fake_discord.world import World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
RESPOND_WITHIN, TOKEN_LIFE = timedelta(seconds=3), timedelta(minutes=15)


class Choice(NamedTuple):
    name: str
    value: str | int | float


class Interaction:
    """One interaction, as a test observes it.

    `response` is the callback's type (4 message, 5 "thinking…", 6 deferred update, 7 update, 8 choices, 9 modal) or
    None; `original` and `followups` are the messages it led to; `modal` is the form it opened; `choices` what
    autocomplete offered. Ephemeral messages are seen by `user` alone (`message.only_for`).
    """

    def __init__(
        self, world: World, kind: int, user: User, channel: Channel, data: dict[str, Any], **more: Any
    ) -> None:
        self.world = world
        self.id = world.next_id()
        self.token = secrets.token_urlsafe(48)
        self.kind = kind
        self.user = user
        self.channel = channel
        self.data = data
        self.source: Message | None = more.get("source")
        self.parent: Interaction | None = more.get("parent")
        self.user_installed: bool = more.get("user_installed", False)
        self.created_at = world.clock.now()
        self._added_before = world.clock.added
        self.acknowledged_at: datetime | None = None
        self.response: int | None = None
        self.original: Message | None = None
        self.followups: list[Message] = []
        self.modal: dict[str, Any] | None = None
        self.choices: list[Choice] | None = None
        self.expired = False
        world.interactions[self.token] = self

    @property
    def replies(self) -> list[Message]:
        """Its messages that are to be seen: the original unless it is the message acted upon, then the follow-ups."""
        own = [self.original] if self.original is not None and self.original is not self.source else []
        return [message for message in [*own, *self.followups] if not message.deleted]

    @property
    def reply(self) -> Message | None:
        """The first reply that is no longer "thinking…"."""
        return next((message for message in self.replies if not message.loading), None)

    @property
    def acknowledged(self) -> bool:
        return self.response is not None

    @property
    def acknowledged_after(self) -> float | None:
        """Seconds from the event to the bot's callback."""
        return (self.acknowledged_at - self.created_at).total_seconds() if self.acknowledged_at else None

    def expire(self) -> None:
        """The 15 minutes of its token are over, now."""
        self.expired = True

    async def wait_acknowledged(self, timeout: float = TIMEOUT_S) -> Interaction:
        await self.world.wait_for(lambda: self.acknowledged, timeout, self.transcript)
        return self

    async def wait_reply(self, timeout: float = TIMEOUT_S) -> Message:
        """The first reply with something in it, whether it came at once, after "thinking…", or as a follow-up."""
        message = await self.world.wait_for(lambda: self.reply, timeout, self.transcript)
        assert message is not None
        return message

    async def wait_modal(self, timeout: float = TIMEOUT_S) -> dict[str, Any]:
        modal = await self.world.wait_for(lambda: self.modal, timeout, self.transcript)
        assert modal is not None
        return modal

    async def wait_choices(self, timeout: float = TIMEOUT_S) -> list[Choice]:
        await self.world.wait_for(lambda: self.choices is not None, timeout, self.transcript)
        return self.choices or []

    def transcript(self) -> str:
        lines = [message.line() for message in self.replies]
        what = self.data.get("name") or self.data.get("custom_id")
        head = f"interaction {what!r} of {self.user.name}: response {self.response}, modal {self.modal is not None}"
        return "\n".join([head, *lines, self.channel.transcript()])

    # what Discord holds against late or repeated answers

    def check_callback(self) -> None:
        late = self.response is None and self.world.clock.added - self._added_before > RESPOND_WITHIN
        if self.expired or late or self._token_is_over():
            raise unknown("interaction")
        if self.response is not None:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")

    def check_token(self) -> None:
        if self.expired or self._token_is_over():
            raise invalid_webhook_token()
        if self.response is None:
            raise unknown("Webhook")

    def _token_is_over(self) -> bool:
        return self.world.clock.added - self._added_before > TOKEN_LIFE

    # how Discord describes it

    def owners(self) -> dict[str, str]:
        guild = self.channel.guild
        owners = {"0": str(guild.id) if guild else "0"} if not self.user_installed else {}
        return {**owners, "1": str(self.user.id)} if self.user_installed else owners

    def metadata(self) -> dict[str, Any]:
        """What a message says of the interaction it answers."""
        shown: dict[str, Any] = {
            "id": str(self.id), "type": self.kind, "user": self.user.payload(),
            "authorizing_integration_owners": self.owners(),
        }  # fmt: skip
        if self.kind == COMPONENT and self.source is not None:
            shown["interacted_message_id"] = str(self.source.id)
        if self.kind == MODAL:
            origin = self.parent or self
            shown["triggering_interaction_metadata"] = {**origin.metadata()["interaction_metadata"]}
        found: dict[str, Any] = {"interaction_metadata": shown}
        if self.kind == COMMAND:
            found["interaction"] = {
                "id": str(self.id), "type": 2, "name": self.data["name"], "user": self.user.payload(),
            }  # fmt: skip
        return found

    def payload(self) -> dict[str, Any]:
        """What INTERACTION_CREATE carries."""
        guild, bot = self.channel.guild, self.world.bot
        app_permissions = self.channel.permissions_of(bot) if guild is None or guild.with_bot else 0
        shown: dict[str, Any] = {
            "id": str(self.id), "application_id": str(self.world.application.id), "type": self.kind,
            "data": self.data, "channel_id": str(self.channel.id), "token": self.token, "version": 1,
            "app_permissions": str(app_permissions), "locale": "en-US", "entitlements": [],
            "entitlement_sku_ids": [], "authorizing_integration_owners": self.owners(), "context": self._context(),
            "attachment_size_limit": 10_485_760,
        }  # fmt: skip
        mine = str(self.channel.permissions_of(self.user))
        shown["channel"] = {**self.channel.payload(), "permissions": mine}
        if self.source is not None:
            shown["message"] = self.source.payload()
        if guild is None:
            return {**shown, "user": self.user.payload()}
        shown["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
        member = {**guild.member(self.user).payload(), "permissions": mine}
        return {**shown, "guild_id": str(guild.id), "guild_locale": "en-US", "member": member}

    def _context(self) -> int:
        """0 in a guild, 1 in the bot's own DM, 2 in a DM between others."""
        if self.channel.guild is not None:
            return 0
        return 1 if self.world.bot in self.channel.recipients else 2
