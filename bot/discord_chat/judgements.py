"""👍, 👎 and ✅ under a reply: a judgement, taken back with another press. Knows no reactions."""

from __future__ import annotations

from bot.chat.judging import CHOSEN, TAKEN_BACK, THANKS
from bot.discord_chat.better_answer import invitation
from bot.discord_chat.buttons import DOWN, UP, Button, reply_button, view_with
from bot.discord_chat.interactions import Interaction
from bot.discord_chat.names import user_id


async def like(interaction: Interaction, exchange_id: str) -> None:
    await interaction.client.parts.judging.judge(exchange_id, user_id(interaction.user), label=True)
    await _confirm(interaction, THANKS.format(thumb=UP), _take_back("unvote", exchange_id))


async def dislike(interaction: Interaction, exchange_id: str) -> None:
    """Besides, a person who dislikes an answer may write a better one."""
    await interaction.client.parts.judging.judge(exchange_id, user_id(interaction.user), label=False)
    words, button = await invitation(interaction, exchange_id)
    buttons = [button] if button is not None else []
    await _confirm(interaction, f"{THANKS.format(thumb=DOWN)} {words}", *buttons, _take_back("unvote", exchange_id))


async def take_thumb_back(interaction: Interaction, exchange_id: str) -> None:
    await interaction.client.parts.judging.take_thumb_back(exchange_id, user_id(interaction.user))
    await interaction.edit_original_response(content=TAKEN_BACK, view=None)


async def pick(interaction: Interaction, exchange_id: str) -> None:
    """Prefer the variant that is shown to every other one."""
    count = await interaction.client.parts.judging.pick(exchange_id, user_id(interaction.user))
    await _confirm(interaction, CHOSEN.format(count=count), _take_back("unpick", exchange_id))


async def take_pick_back(interaction: Interaction, exchange_id: str) -> None:
    await interaction.client.parts.judging.take_pick_back(exchange_id, user_id(interaction.user))
    await interaction.edit_original_response(content=TAKEN_BACK, view=None)


def _take_back(verb: str, exchange_id: str) -> Button:
    return reply_button(verb, exchange_id, label="Take it back")


async def _confirm(interaction: Interaction, words: str, *buttons: Button) -> None:
    """Say to the person who pressed, and nobody else, that it counts."""
    await interaction.followup.send(words, ephemeral=True, view=view_with(*buttons))
