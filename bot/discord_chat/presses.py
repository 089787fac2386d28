"""What a press of a button under a reply does: the one table of it.

A press is acknowledged first, within the three seconds that Discord waits, unless it opens a form, which must be the
first answer. A handler raises PersonasError with a sentence for the person who pressed.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import discord

from bot.discord_chat import better_answer, endings, judgements, variants
from bot.discord_chat.buttons import Button
from bot.discord_chat.interactions import Interaction, acknowledge, failures_told, tell

Handler: TypeAlias = Callable[[Interaction, str], Awaitable[None]]
"""Is given the interaction and the id of the exchange that the button names."""

OUTDATED = "This button is of an earlier version of mine and does nothing any more."
HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "up": judgements.like,
        "down": judgements.dislike,
        "unvote": judgements.take_thumb_back,
        "best": judgements.pick,
        "unpick": judgements.take_pick_back,
        "better": better_answer.open_form,
        "again": variants.again,
        "previous": variants.previous,
        "next": variants.following,
        "stop": endings.stop,
        "delete": endings.delete,
    }
)
OPENS_A_FORM = frozenset({"better"})


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
                await HANDLERS.get(self.verb, _explain)(interaction, self.exchange_id)


async def _explain(interaction: Interaction, _exchange_id: str) -> None:
    await tell(interaction, OUTDATED)
