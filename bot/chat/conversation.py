"""What people and the bot said, oldest first, as the bounded conversation a model answers. Knows no chat platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, groupby
from typing import Literal

from bot.chat.reply_pages import DROPPED_NOTE
from core.messages import ChatMessage, Quoted

MAX_TURNS = 100
MAX_CHARS = 200_000  # far beyond most contexts: which turns fit the model's is decided by its tokens (core.prompts)
MAX_NAME_CHARS = 32


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a reply chain or thread; `name` is how its author is called there."""

    role: Literal["user", "assistant"]
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """The turns up to a question, as a platform could read them. `quotes` are the messages whose words stand in them.

    `is_cut`: there are older turns. `remarks` tell the person who asks what could not be read.
    """

    conversation_id: str
    turns: tuple[Turn, ...] = ()
    quotes: tuple[Quoted, ...] = ()
    is_cut: bool = False
    remarks: tuple[str, ...] = ()

    def after(self, *former: Turn, quotes: tuple[Quoted, ...] = ()) -> Transcript:
        """The same with something that was said before."""
        return replace(self, turns=(*former, *self.turns), quotes=(*quotes, *self.quotes))

    @property
    def is_question(self) -> bool:
        """Whether the last word is a person's."""
        return bool(self.turns) and self.turns[-1].role == "user"

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """What the model is asked."""
        names = {turn.name for turn in self.turns if turn.role == "user"}
        return to_messages(self.turns, several_people=len(names) > 1)

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands under the reply: the remarks, and that older turns are missing."""
        return (*self.remarks, DROPPED_NOTE) if self.is_cut or is_cut(self.turns) else self.remarks


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
    worded = _up_to_the_question(turns)
    return len(_newest(worded)) < len(worded)


def _up_to_the_question(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns with words, up to the last one of a user."""
    worded = [turn for turn in turns if turn.text.strip()]
    while worded and worded[-1].role == "assistant":
        worded.pop()
    return worded


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
