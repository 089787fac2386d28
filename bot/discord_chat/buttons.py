"""The buttons under a reply as Discord draws them. Knows no store and no replies; presses.py says what they do.

A button's custom_id says everything it needs, so it works after a restart, however old its message is.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import discord
from discord import ButtonStyle

from bot.chat.buttons import ReplyButtons

# As Discord writes them: the variation selector (FE0F) belongs to those whose plain character is a text symbol.
UP, DOWN, AGAIN, BEST = "👍", "👎", "🔄", "✅"
FIRST, TIE, SECOND = "🅰\ufe0f", "🤝", "🅱\ufe0f"
DELETE, STOP, PREVIOUS, NEXT = "🗑\ufe0f", "⏹\ufe0f", "◀\ufe0f", "▶\ufe0f"

Button: TypeAlias = discord.ui.Button[discord.ui.View]


def reply_button(verb: str, exchange_id: str, **look: Any) -> Button:
    """A button for one reply. `look` is what discord.ui.Button takes."""
    look.setdefault("style", ButtonStyle.secondary)
    return discord.ui.Button(custom_id=f"reply:{verb}:{exchange_id}", **look)


def view_of(due: ReplyButtons | None) -> discord.ui.View | None:
    """The buttons under a reply, or under one that is being written: ⏹.

    From two variants on, a second row leads to the others.
    """
    if due is None:
        return None
    exchange_id, index, count = due.exchange_id, due.index, due.count
    if due.is_duel:
        votes = (("first", FIRST, "A is better"), ("tie", TIE, "As good"), ("second", SECOND, "B is better"))
        return view_with(*(reply_button(verb, exchange_id, emoji=sign, label=what) for verb, sign, what in votes))
    if due.is_running:
        return view_with(reply_button("stop", exchange_id, emoji=STOP, label="Stop"))
    thumbs = (reply_button("up", exchange_id, emoji=UP), reply_button("down", exchange_id, emoji=DOWN))
    buttons = [*(thumbs if due.is_finished else ()), reply_button("again", exchange_id, emoji=AGAIN)]
    buttons.append(reply_button("delete", exchange_id, emoji=DELETE))
    if count > 1:
        buttons += [
            reply_button("previous", exchange_id, emoji=PREVIOUS, row=1, disabled=index == 0),
            reply_button("place", exchange_id, label=f"{index + 1}/{count}", row=1, disabled=True),
            reply_button("next", exchange_id, emoji=NEXT, row=1, disabled=index == count - 1),
        ]
        if due.is_finished:
            buttons.append(
                reply_button("best", exchange_id, emoji=BEST, label="Best", row=1, style=ButtonStyle.success)
            )
    return view_with(*buttons)


def view_with(*buttons: Button) -> discord.ui.View:
    """A view of these buttons that discord.py does not keep: their custom_ids are enough.

    One that it kept for an ephemeral message would time out after 15 minutes, and with it the pattern by which the bot
    knows all such buttons (ViewStore.remove_view lets go of the template).
    """
    view = discord.ui.View(timeout=None)
    for button in buttons:
        view.add_item(button)
    view.stop()
    return view
