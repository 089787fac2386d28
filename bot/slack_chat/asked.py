"""A command as somebody used it, whether from Slack's command line or typed into a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from bot.slack_chat import names


class Tell(Protocol):
    """Tells the person who used the command, and nobody else."""

    async def __call__(self, sentence: str, blocks: Sequence[dict[str, Any]] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Who used a command where, with which words behind its name. `thread_ts` is None outside of threads.

    `key` is the same however often it is delivered: of a typed command the message's. `is_counted`: it has counted as a
    message of that person's already.
    """

    team: str
    channel: str
    user: str
    words: str
    tell: Tell
    thread_ts: str | None = None
    key: str = ""
    is_counted: bool = False

    @property
    def user_id(self) -> str:
        return names.user_id(self.user)

    @property
    def places(self) -> tuple[str, ...]:
        return names.places_of(self.team, self.channel, self.thread_ts)

    @property
    def is_private(self) -> bool:
        return names.is_dm(self.channel)


Command: TypeAlias = Callable[[Asked], Awaitable[None]]
Commands: TypeAlias = Mapping[str, Command]
"""By name, without a slash."""
