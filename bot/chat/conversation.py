"""What people and the bot said, oldest first, as the bounded conversation a model answers. Knows no chat platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile, groupby
from typing import Literal

from core.messages import ChatMessage

MAX_TURNS = 100
MAX_CHARS = 200_000  # far beyond most contexts: which turns fit the model's is decided by its tokens (core.prompts)
MAX_NAME_CHARS = 32


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a reply chain or thread; `name` is how its author is called there."""

    role: Literal["user", "assistant"]
    name: str
    text: str


def to_messages(turns: Sequence[Turn], *, several_people: bool) -> tuple[ChatMessage, ...]:
    """The conversation that `turns` make, which begins and ends with a user turn; empty when nobody said anything.

    Consecutive turns of one role become one message. Where several people talk, each of their turns begins with the
    name of who said it. Of more than MAX_TURNS turns or MAX_CHARS characters the newest are kept, the last in any case.
    """
    kept = dropwhile(lambda turn: turn.role == "assistant", _newest(_up_to_the_question(turns)))
    return tuple(
        ChatMessage(role, "\n".join(_line(turn, has_name=several_people) for turn in group))
        for role, group in groupby(kept, key=lambda turn: turn.role)
    )


def is_cut(turns: Sequence[Turn]) -> bool:
    """Whether `to_messages` leaves out older ones of these turns, for there are too many."""
    said = _up_to_the_question(turns)
    return len(_newest(said)) < len(said)


def _up_to_the_question(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns with words, up to the last one of a user."""
    said = [turn for turn in turns if turn.text.strip()]
    while said and said[-1].role == "assistant":
        said.pop()
    return said


def _newest(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The newest turns within the bounds, at least the last one."""
    chars = 0
    for count, turn in enumerate(reversed(turns)):
        chars += len(turn.text)
        if count and (count == MAX_TURNS or chars > MAX_CHARS):
            return turns[len(turns) - count :]
    return turns


def _line(turn: Turn, *, has_name: bool) -> str:
    text = turn.text.strip()
    name = " ".join(turn.name.split())[:MAX_NAME_CHARS]
    return f"{name}: {text}" if has_name and name and turn.role == "user" else text
