"""🔄 and ◀ 2/3 ▶: another answer to the same question, and the way back, in the messages that show the former one."""

from __future__ import annotations

from functools import partial

from bot.chat.replies import MakeScreen
from bot.chat.responder import PendingReply
from bot.discord_chat.interactions import Interaction, places_here, tell
from bot.discord_chat.names import is_in_guild, user_id
from bot.discord_chat.screens import DiscordScreen
from bot.discord_chat.shown_reply import shown_by
from core.queue.jobs import JobStatus


async def again(interaction: Interaction, exchange_id: str) -> None:
    """Answer the question again with the weights that its persona has now. What hinders it is said in private.

    Raises NotAllowed, TooFast and what reading the conversation raises.
    """
    parts = interaction.client.parts
    person, here, event_id = user_id(interaction.user), places_here(interaction), f"regenerate:{interaction.id}"
    shown = await shown_by(interaction, exchange_id)
    former = shown.exchange
    with parts.variants.alone(former):
        if not parts.replies.admit(event_id, person, here):
            return
        transcript = await parts.history.read_again(former)
        if former.status == JobStatus.SUCCEEDED and (words := await parts.history.reply_of(former)):
            parts.memory.remember(former.id, transcript, words)  # they are about to be overwritten
        screen = await parts.identities.screen_on(interaction, former, former.model)
        question = parts.variants.asked_again(
            former,
            transcript,
            event_id=event_id,
            user_id=person,
            places=here,
            needs_permission=is_in_guild(here),
        )
        onto = shown.pages_on(screen)
        await parts.replies.answer(question, _this(screen), refuse=partial(tell, interaction), onto=onto)


async def previous(interaction: Interaction, exchange_id: str) -> None:
    await _turn(interaction, exchange_id, -1)


async def following(interaction: Interaction, exchange_id: str) -> None:
    await _turn(interaction, exchange_id, 1)


async def _turn(interaction: Interaction, exchange_id: str, step: int) -> None:
    """Show the variant that stands so many steps from the pressed one."""
    parts = interaction.client.parts
    shown = await shown_by(interaction, exchange_id)
    with parts.variants.alone(shown.exchange):
        target = await parts.variants.neighbour(exchange_id, step)
        if target is None:
            return
        words = await parts.history.reply_of(target)
        screen = await parts.identities.screen_on(interaction, shown.exchange, target.model)
        await parts.variants.show(screen, target, words, shown.pages_on(screen))


def _this(screen: DiscordScreen) -> MakeScreen:
    """The screen is known before the reply is in the queue: the messages with the pressed button."""

    async def make(_reply: PendingReply) -> DiscordScreen:
        return screen

    return make
