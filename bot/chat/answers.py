"""The answers to one question, wherever they are shown: how another one is asked for, and which stands beside which.

Every answer is an exchange of its own. Knows no messages and no pages.
"""

from __future__ import annotations

from dataclasses import replace

from bot.chat.buttons import ReplyButtons, buttons_of, showable
from bot.chat.platform import IncomingMessage
from core.generation import SamplingOverrides
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

VARIED_TEMPERATURE = 0.8  # a greedy answer would come out the same again


def asking_again(question: IncomingMessage, former: Exchange) -> IncomingMessage:
    """`question`, which `former` answers already, for another answer by the weights that its persona has now."""
    varied = SamplingOverrides(temperature=former.sampling.get("temperature") or VARIED_TEMPERATURE)
    return replace(
        question,
        model=former.model,
        sampling=question.sampling.over(varied),
        question_id=former.question_id,
        variant_of=former.id,
    )


async def buttons_under(store: Store, exchange_id: str) -> ReplyButtons:
    """What can be done with a reply that has ended. Raises NotFound."""
    async with store.read() as session:
        return buttons_of(await exchanges.variants(session, exchange_id), exchange_id)


async def neighbour(store: Store, exchange_id: str, step: int) -> Exchange | None:
    """The answer that stands so many steps from this one; None beyond the first and the last. Raises NotFound."""
    async with store.read() as session:
        found, index = showable(await exchanges.variants(session, exchange_id), exchange_id)
    return found[index + step] if 0 <= index + step < len(found) else None
