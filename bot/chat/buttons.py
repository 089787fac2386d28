"""Which buttons are due under a reply, as data; each platform draws them its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import NotFound
from core.queue.jobs import JobStatus
from core.store.models import Exchange

UNKNOWN = "I do not know this answer any more, so nothing can be done with it; ask me again."


@dataclass(frozen=True, slots=True)
class ReplyButtons:
    """What can be done with a reply. One that is being written can be stopped, one that is finished can be judged.

    Finished is a reply that neither failed nor was stopped. `index`, from 0, and `count` tell which variant is shown.
    Under a duel, which its first reply names, people only vote.
    """

    exchange_id: str
    is_running: bool = False
    is_finished: bool = True
    index: int = 0
    count: int = 1
    is_duel: bool = False


def showable(variants: Sequence[Exchange], exchange_id: str) -> tuple[list[Exchange], int]:
    """The variants that can be shown, the finished ones and this one, and where this one stands among them.

    Raises NotFound when it is none of them.
    """
    found = [one for one in variants if one.status == JobStatus.SUCCEEDED or one.id == exchange_id]
    for index, one in enumerate(found):
        if one.id == exchange_id:
            return found, index
    raise NotFound(UNKNOWN)


def buttons_of(variants: Sequence[Exchange], exchange_id: str) -> ReplyButtons:
    """The buttons under an ended reply, one of these variants. Raises NotFound when it is none of them."""
    found, index = showable(variants, exchange_id)
    is_finished = found[index].status == JobStatus.SUCCEEDED
    return ReplyButtons(exchange_id, is_finished=is_finished, index=index, count=len(found))
