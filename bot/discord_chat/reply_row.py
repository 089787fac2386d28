"""The buttons under a reply: what they look like, and which action a press begins. Knows no store and no replies.

A button's custom_id says everything it needs, so it works after a restart, however old its message is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import aiohttp
import discord
from discord import ButtonStyle

from bot.discord_chat.interaction_replies import failures_told, tell

if TYPE_CHECKING:
    from bot.discord_chat.interaction_replies import Interaction

    Action: TypeAlias = Callable[[Interaction, str], Awaitable[None]]

# As Discord writes them: the variation selector (FE0F) belongs to those whose plain character is a text symbol.
UP, DOWN, AGAIN, BEST, WRITE = "👍", "👎", "🔄", "✅", "📝"
DELETE, STOP, PREVIOUS, NEXT = "🗑\ufe0f", "⏹\ufe0f", "◀\ufe0f", "▶\ufe0f"
OUTDATED = "This button is of an earlier version of mine and does nothing any more."

logger = logging.getLogger(__name__)

_actions: dict[str, tuple[Action, bool]] = {}


def action(verb: str, *, is_acknowledged: bool = True) -> Callable[[Action], Action]:
    """What a press of the button with this verb does: it is given the interaction and the exchange's id.

    It is acknowledged before, within the three seconds that Discord waits, unless it opens a form, which must be the
    first answer. Raises PersonasError with a sentence for who pressed.
    """

    def register(function: Action) -> Action:
        _actions[verb] = (function, is_acknowledged)
        return function

    return register


class ReplyButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"reply:(?P<verb>[a-z]{1,16}):(?P<exchange_id>[\w-]{1,64})",
):
    """`look` is what discord.ui.Button takes."""

    def __init__(self, verb: str, exchange_id: str, **look: Any) -> None:
        look.setdefault("style", ButtonStyle.secondary)
        super().__init__(discord.ui.Button(custom_id=f"reply:{verb}:{exchange_id}", **look))
        self.verb = verb
        self.exchange_id = exchange_id

    @classmethod
    async def from_custom_id(  # type: ignore[override]  # there is one kind of client here
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["verb"], match["exchange_id"], label="?")  # only what it does is asked for

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        async with failures_told(interaction):
            function, is_acknowledged = _actions.get(self.verb, (_explain, True))
            if not is_acknowledged or await acknowledge(interaction):
                await function(interaction, self.exchange_id)


async def acknowledge(interaction: Interaction) -> bool:
    """Tell Discord that the press has arrived. False when it is too late for that, or when it arrives a second time."""
    try:
        await interaction.response.defer()
    except discord.HTTPException as error:
        logger.info("A press of %s is left alone: %s", interaction.custom_id, error)
        return False
    except (aiohttp.ClientError, OSError) as error:  # it may have arrived all the same
        logger.info("Whether a press of %s was acknowledged is unknown: %r", interaction.custom_id, error)
    return True


def row(
    exchange_id: str, *, is_running: bool = False, is_finished: bool = True, variants: tuple[int, int] = (0, 1)
) -> discord.ui.View:
    """The buttons under a reply, or under one that is being written: ⏹.

    Only a finished reply, one that neither failed nor was stopped, can be judged. `variants` are the 0-based index of
    the one that is shown and how many there are; from two on a second row leads to the others.
    """
    if is_running:
        return buttons(ReplyButton("stop", exchange_id, emoji=STOP, label="Stop"))
    index, count = variants
    thumbs = (ReplyButton("up", exchange_id, emoji=UP), ReplyButton("down", exchange_id, emoji=DOWN))
    shown = [*(thumbs if is_finished else ()), ReplyButton("again", exchange_id, emoji=AGAIN)]
    shown.append(ReplyButton("delete", exchange_id, emoji=DELETE))
    if count > 1:
        shown += [
            ReplyButton("previous", exchange_id, emoji=PREVIOUS, row=1, disabled=index == 0),
            ReplyButton("place", exchange_id, label=f"{index + 1}/{count}", row=1, disabled=True),
            ReplyButton("next", exchange_id, emoji=NEXT, row=1, disabled=index == count - 1),
        ]
        if is_finished:
            best = ReplyButton("best", exchange_id, emoji=BEST, label="Best", row=1, style=ButtonStyle.success)
            shown.append(best)
    return buttons(*shown)


def buttons(*shown: ReplyButton) -> discord.ui.View:
    """A view of these buttons that discord.py does not keep: their custom_ids are enough.

    One that it kept for an ephemeral message would time out after 15 minutes, and with it every ReplyButton there is
    (ViewStore.remove_view lets go of the template).
    """
    view = discord.ui.View(timeout=None)
    for button in shown:
        view.add_item(button)
    view.stop()
    return view


async def _explain(interaction: Interaction, _exchange_id: str) -> None:
    await tell(interaction, OUTDATED)
