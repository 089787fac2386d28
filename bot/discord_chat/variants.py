"""🔄 and ◀ 2/3 ▶: another answer to the same question, and the way back, in the messages that show the former one.

Every variant is an exchange of its own. Words that may not be written down are remembered until the bot restarts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import discord

from bot.chat.reply_pages import ReplyPages
from bot.chat.reply_stream import ScreenGone
from bot.discord_chat.asks import Ask
from bot.discord_chat.interaction_replies import places_here, tell
from bot.discord_chat.places import SOURCE, user_id
from bot.discord_chat.reply_row import action, row
from bot.discord_chat.shown import UNKNOWN, Shown, shown_by
from bot.discord_chat.talking import MAX_CHARS
from core.errors import InvalidInput, NotFound
from core.generation import SamplingOverrides
from core.messages import ReplyChunk
from core.queue.jobs import JobStatus
from core.store import exchanges

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat
    from bot.discord_chat.interaction_replies import Interaction
    from bot.discord_chat.screens import DiscordScreen
    from core.store.models import Exchange

BUSY = "This answer is being written anew at this moment; wait until it stands."
NOT_KEPT = (
    "The words of that answer are not kept: without everybody's consent I remember them until I am restarted at most."
    " 🔄 writes another one."
)
SMALL_PRINT = "-# {}"
VARIED_TEMPERATURE = 0.8  # a greedy answer would come out the same again

_rewritten: set[str] = set()  # first variants of the answers whose messages are being written anew


@action("again")
async def regenerate(interaction: Interaction, exchange_id: str) -> None:
    """Answer the question again with the weights that its persona has now. What hinders it is said in private."""
    chat = interaction.client.chat
    shown = await shown_by(interaction, exchange_id)
    former = shown.exchange
    with _alone(chat, former), chat.talking.busy():
        said = await chat.context.again(former)
        if former.status == JobStatus.SUCCEEDED and (words := await chat.context.reply_of(former)):
            chat.context.remember(former.id, said, words)  # they are about to be overwritten
        screen = await chat.identities.screen_on(interaction, former, former.model)
        ask = Ask(
            user_id=user_id(interaction.user),
            user_name=interaction.user.display_name,
            event_id=f"regenerate:{interaction.id}",
            said=said,
            places=places_here(interaction),
            model=former.model,
            variant_of=former.id,
            question_id=former.question_id,
            sampling=SamplingOverrides(temperature=former.sampling.get("temperature") or VARIED_TEMPERATURE),
        )
        await chat.talking.answer(
            ask, screen, row=interaction.client.row, onto=shown.pages_on(screen), refuse=partial(tell, interaction)
        )


@action("previous")
async def show_previous(interaction: Interaction, exchange_id: str) -> None:
    await _turn(interaction, exchange_id, -1)


@action("next")
async def show_next(interaction: Interaction, exchange_id: str) -> None:
    await _turn(interaction, exchange_id, 1)


def place_of(variants: list[Exchange], exchange_id: str) -> tuple[list[Exchange], int]:
    """The variants that can be shown, the finished ones and this one, and where this one stands among them.

    Raises NotFound when it is none of them.
    """
    shown = [one for one in variants if one.status == JobStatus.SUCCEEDED or one.id == exchange_id]
    for index, one in enumerate(shown):
        if one.id == exchange_id:
            return shown, index
    raise NotFound(UNKNOWN)


async def _turn(interaction: Interaction, exchange_id: str, step: int) -> None:
    """Show the variant that stands so many steps from the pressed one."""
    chat = interaction.client.chat
    shown = await shown_by(interaction, exchange_id)
    with _alone(chat, shown.exchange), chat.talking.busy():
        async with chat.service.store.session() as session:
            variants = await exchanges.variants(session, exchange_id)
        found, index = place_of(variants, exchange_id)
        if not 0 <= index + step < len(found):
            return
        target = found[index + step]
        words = await chat.context.reply_of(target)
        if words is None:
            raise NotFound(NOT_KEPT)
        screen = await chat.identities.screen_on(interaction, shown.exchange, target.model)
        found, index = place_of(variants, target.id)
        await _show(chat, screen, shown, target, words, row(target.id, variants=(index, len(found))))


async def _show(
    chat: DiscordChat, screen: DiscordScreen, shown: Shown, target: Exchange, words: str, buttons: discord.ui.View
) -> None:
    """Write `target` over what is shown. Raises ScreenGone and ScreenRefused."""
    onto = shown.pages_on(screen)
    texts = ReplyPages(MAX_CHARS, screen.header, SMALL_PRINT).of(words, ReplyChunk(finish_reason="stop"), None)
    keys = []
    for page, text in enumerate(texts):
        await chat.talking.budget(screen.channel_id).take(is_final=True)
        if page == len(texts) - 1:
            screen.row = buttons
        if page < len(onto):
            await screen.edit(onto[page], text)
        keys.append(onto[page] if page < len(onto) else await screen.post(text))
    async with chat.service.store.session() as session:
        for page, key in enumerate(keys):
            await exchanges.add_delivery(session, target.id, screen.moved.get(key, key), position=page)
        for key in onto[len(keys) :]:
            await exchanges.remove_delivery(session, SOURCE, key)
    for key in onto[len(keys) :]:
        with suppress(ScreenGone):  # somebody was faster
            await screen.remove(key)


@contextmanager
def _alone(chat: DiscordChat, exchange: Exchange) -> Iterator[None]:
    """While the messages of an answer change, nobody else changes them. Raises InvalidInput for who comes later."""
    first = exchange.variant_of or exchange.id
    if first in _rewritten or chat.talking.is_running(exchange.id):
        raise InvalidInput(BUSY)
    _rewritten.add(first)
    try:
        yield
    finally:
        _rewritten.discard(first)
