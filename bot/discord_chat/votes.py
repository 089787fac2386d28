"""👍 and 👎 under a reply: a judgement, taken back with another press. Knows no reactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.discord_chat.better_answer import invitation
from bot.discord_chat.places import SOURCE, user_id
from bot.discord_chat.reply_row import DOWN, UP, ReplyButton, action, buttons
from bot.discord_chat.shown import UNKNOWN
from bot.feedback_intake import record_feedback
from core.errors import InvalidInput, NotFound
from core.jobs import JobStatus
from core.store import exchanges, preferences

if TYPE_CHECKING:
    from bot.discord_chat.interaction_replies import Interaction
    from core.store.models import Exchange

UNJUDGED = {
    JobStatus.FAILED: "This answer failed, so there is nothing to judge; 🔄 lets me try again.",
    JobStatus.CANCELLED: "This answer was stopped before its end, so there is nothing to judge; 🔄 writes another one.",
}
NOT_ENDED = "This answer is not noted to its end yet, so it cannot be judged; try again in a moment."
THANKS = "{thumb} Noted, thank you."
TAKEN_BACK = "Taken back: it counts no longer."
NOTHING_TO_CHOOSE = "There is no other finished answer to choose from any more."
CHOSEN = "✅ Noted, thank you: of the {count} answers to this question, you like this one best."


@action("up")
async def like(interaction: Interaction, exchange_id: str) -> None:
    await _vote(interaction, exchange_id, label=True)
    await _confirm(interaction, THANKS.format(thumb=UP), _take_back("unvote", exchange_id))


@action("down")
async def dislike(interaction: Interaction, exchange_id: str) -> None:
    """Besides, whoever dislikes an answer may write a better one."""
    await _vote(interaction, exchange_id, label=False)
    words, button = await invitation(interaction, exchange_id)
    shown = [button] if button is not None else []
    await _confirm(interaction, f"{THANKS.format(thumb=DOWN)} {words}", *shown, _take_back("unvote", exchange_id))


@action("unvote")
async def take_vote_back(interaction: Interaction, exchange_id: str) -> None:
    store = interaction.client.chat.service.store
    await record_feedback(store, exchange_id=exchange_id, user_id=user_id(interaction.user), label=None, source=SOURCE)
    await interaction.edit_original_response(content=TAKEN_BACK, view=None)


@action("best")
async def choose(interaction: Interaction, exchange_id: str) -> None:
    """Prefer the variant that is shown to every other one: a preference pair each."""
    await finished(interaction, exchange_id)
    async with interaction.client.chat.service.store.write() as session:
        chooser = user_id(interaction.user)
        pairs = await preferences.pick(session, user_id=chooser, chosen=exchange_id, source=SOURCE)
    if not pairs:
        raise InvalidInput(NOTHING_TO_CHOOSE)
    await _confirm(interaction, CHOSEN.format(count=pairs + 1), _take_back("unpick", exchange_id))


@action("unpick")
async def take_choice_back(interaction: Interaction, exchange_id: str) -> None:
    async with interaction.client.chat.service.store.write() as session:
        await preferences.withdraw(session, user_id=user_id(interaction.user), exchange_id=exchange_id)
    await interaction.edit_original_response(content=TAKEN_BACK, view=None)


async def finished(interaction: Interaction, exchange_id: str) -> Exchange:
    """An exchange that can be judged, once it has ended. Raises NotFound and InvalidInput with a friendly word."""
    await interaction.client.chat.talking.ended(exchange_id)
    async with interaction.client.chat.service.store.read() as session:
        found = await exchanges.find(session, exchange_id)
    if found is None:
        raise NotFound(UNKNOWN)
    if found.status != JobStatus.SUCCEEDED:
        raise InvalidInput(UNJUDGED.get(JobStatus(found.status), NOT_ENDED))
    return found


async def _vote(interaction: Interaction, exchange_id: str, *, label: bool) -> None:
    """The latest vote of a person counts, whether by button or reaction."""
    await finished(interaction, exchange_id)
    store = interaction.client.chat.service.store
    await record_feedback(store, exchange_id=exchange_id, user_id=user_id(interaction.user), label=label, source=SOURCE)


def _take_back(verb: str, exchange_id: str) -> ReplyButton:
    return ReplyButton(verb, exchange_id, label="Take it back")


async def _confirm(interaction: Interaction, words: str, *shown: ReplyButton) -> None:
    """Say to who pressed, and nobody else, that it counts."""
    await interaction.followup.send(words, ephemeral=True, view=buttons(*shown))
