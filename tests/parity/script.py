"""One conversation, as two people of any chat platform have it. Knows no platform."""

from __future__ import annotations

from typing import Protocol

from core.store.db import Store
from tests.parity.rows import Names, Row, rows_of


class Talk(Protocol):
    """A person, ann, and an administrator of the place at one platform. Each act returns when it has taken effect."""

    @property
    def store(self) -> Store: ...

    async def allow_text(self) -> None:
        """The administrator lets text be kept."""

    async def agree(self) -> None:
        """Ann agrees that her words are kept."""

    async def choose(self, persona: str) -> None:
        """For the channel."""

    async def blend(self, spec: str) -> None:
        """For the channel."""

    async def ask(self, text: str) -> None:
        """In a new thread, with a mention."""

    async def follow_up(self, text: str) -> None:
        """In that thread, without one."""

    async def react(self, label: bool | None) -> None:
        """To the last answer, instead of what stood there before; None takes it away."""

    async def regenerate(self, count: int) -> None:
        """Another answer in the last one's place, the `count`th."""

    async def pick(self) -> None:
        """What is shown is the best."""

    async def write_better(self, text: str) -> None:
        """After a thumb down by button."""

    async def forget(self) -> None:
        """Ann has everything erased."""


async def converse(talk: Talk) -> dict[str, dict[str, list[Row]]]:
    """What the store holds after each part of the conversation."""
    names, kept = Names(), {}

    async def look(part: str) -> None:
        kept[part] = await rows_of(talk.store, names)

    await talk.allow_text()
    await talk.agree()
    await talk.choose("zen")
    await look("bound")
    await talk.ask("one two three")
    await talk.follow_up("and four")
    await look("asked")
    await talk.blend("codebeard:0.7+zen:0.3")
    await talk.follow_up("five")
    await look("blended")
    await talk.react(True)
    await look("up")
    await talk.react(False)
    await look("down")
    await talk.react(None)
    await look("removed")
    await talk.regenerate(2)
    await talk.pick()
    await look("picked")
    await talk.write_better("six, of course")
    await look("better")
    await talk.forget()
    await look("forgotten")
    return kept
