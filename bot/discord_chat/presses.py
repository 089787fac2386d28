"""Presses of the buttons under a reply, and forms that were sent, as `bot.chat.presses` takes them.

A press is acknowledged first, within the three seconds that Discord waits, unless it opens a form, which must be the
first answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import discord

from bot.chat.buttons import ReplyButtons
from bot.chat.platform import ReplyScreen
from bot.chat.presses import FurtherButton, ShownReply
from bot.discord_chat import better_answer
from bot.discord_chat.buttons import Button, reply_button, view_of, view_with
from bot.discord_chat.interaction_screen import InteractionScreen
from bot.discord_chat.interactions import Interaction, acknowledge, failures_told, places_here, tell
from bot.discord_chat.names import is_in_guild, message_key, user_id

OPENS_A_FORM = frozenset({"better"})


@dataclass(frozen=True, slots=True)
class Pressed:
    """Implements `bot.chat.presses.Press`."""

    interaction: Interaction
    exchange_id: str

    @property
    def key(self) -> str:
        message = cast("discord.Message", self.interaction.message)  # a button is always on one
        return message_key(message.channel.id, message.id)

    @property
    def event_id(self) -> str:
        return f"regenerate:{self.interaction.id}"

    @property
    def user_id(self) -> str:
        return user_id(self.interaction.user)

    @property
    def places(self) -> tuple[str, ...]:
        return places_here(self.interaction)

    @property
    def needs_permission(self) -> bool:
        return is_in_guild(self.places)

    async def may_manage(self) -> bool:
        return self.interaction.permissions.manage_messages

    async def screen_on(self, shown: ShownReply, model: str) -> tuple[ReplyScreen, Sequence[str]]:
        """With nothing but the press's token, the message with the button alone can be changed."""
        identities = self.interaction.client.parts.identities
        screen = await identities.screen_on(self.interaction, shown.exchange, model)
        return screen, (self.key,) if isinstance(screen, InteractionScreen) else shown.pages

    async def tell(self, sentence: str, *buttons: FurtherButton) -> None:
        if not buttons:
            await tell(self.interaction, sentence)
            return
        drawn = (reply_button(one.verb, self.exchange_id, emoji=one.emoji or None, label=one.label) for one in buttons)
        await self.interaction.followup.send(sentence, ephemeral=True, view=view_with(*drawn))

    async def replace(self, sentence: str) -> None:
        await self.interaction.edit_original_response(content=sentence, view=None)

    async def draw(self, buttons: ReplyButtons) -> None:
        await self.interaction.edit_original_response(view=view_of(buttons))

    async def open_form(self) -> None:
        await better_answer.open_form(self.interaction, self.exchange_id)


class Press(discord.ui.DynamicItem[Button], template=r"reply:(?P<verb>[a-z]{1,16}):(?P<exchange_id>[\w-]{1,64})"):
    """A pressed button, known by its custom_id alone."""

    def __init__(self, verb: str, exchange_id: str) -> None:
        super().__init__(discord.ui.Button(custom_id=f"reply:{verb}:{exchange_id}", label="?"))
        self.verb = verb
        self.exchange_id = exchange_id

    @classmethod
    async def from_custom_id(  # type: ignore[override]  # there is one kind of client here
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["verb"], match["exchange_id"])

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        async with failures_told(interaction):
            if self.verb in OPENS_A_FORM or await acknowledge(interaction):
                await interaction.client.parts.presses.do(self.verb, Pressed(interaction, self.exchange_id))


async def on_interaction(interaction: Interaction) -> None:
    """Take in a form that was sent; every other interaction is left alone."""
    exchange_id = better_answer.sent_for(interaction)
    if exchange_id is None:
        return
    async with failures_told(interaction):
        if await acknowledge(interaction):
            written = better_answer.written(interaction)
            await interaction.client.parts.presses.keep_better_answer(Pressed(interaction, exchange_id), written)
