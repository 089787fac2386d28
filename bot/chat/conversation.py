"""What people and the bot said, oldest first, as the bounded conversation a model answers. Knows no chat platform."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, groupby
from typing import Literal

from bot.chat.graphemes import shortened, without_unseen
from bot.chat.reply_pages import DROPPED_NOTE
from core.messages import ChatMessage, Quoted

MAX_TURNS = 100
MAX_CHARS = 200_000  # far beyond most contexts: which turns fit the model's is decided by its tokens (core.prompts)
MAX_NAME_CHARS = 32
NAMELESS = "Somebody"  # who has a name that shows nothing
FILES_UNREAD = "I read text only, so I do not know what is attached."
INDENT = "  "  # before the further lines of a turn where several people talk: none of them begins a turn

# Whatever a model or a reader may take for the end of a line.
_LINE_END = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a reply chain or thread; `name` is how its author is called there.

    `author` is the platform's id of a person, who may have the same name as another one; "" where it is not known.
    """

    role: Literal["user", "assistant"]
    name: str
    text: str
    author: str = ""


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
        speakers = {_speaker(turn) for turn in self.turns if turn.role == "user"}
        return to_messages(self.turns, several_people=len(speakers) > 1)

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands under the reply: the remarks, and that older turns are missing."""
        return (*self.remarks, DROPPED_NOTE) if self.is_cut or is_cut(self.turns) else self.remarks


def to_messages(turns: Sequence[Turn], *, several_people: bool) -> tuple[ChatMessage, ...]:
    """The conversation that `turns` make, which begins and ends with a user turn; empty when nobody said anything.

    Consecutive turns of one role become one message. Where several people talk, each of their turns begins with the
    name of who said it, which is nobody else's, and no other line of theirs begins at the margin. Of more than
    MAX_TURNS turns or MAX_CHARS characters the newest are kept, the last in any case.
    """
    kept = list(dropwhile(lambda turn: turn.role == "assistant", _newest(_up_to_the_question(turns))))
    labels = _labels(kept) if several_people else {}
    return tuple(
        ChatMessage(role, "\n".join(_line(turn, labels) for turn in group))
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


def _line(turn: Turn, labels: Mapping[tuple[str, str], str]) -> str:
    text = turn.text.strip()
    label = labels.get(_speaker(turn)) if turn.role == "user" else None
    return f"{label}: {_LINE_END.sub(chr(10) + INDENT, text)}" if label else text


def _speaker(turn: Turn) -> tuple[str, str]:
    return (turn.author, "") if turn.author else ("", turn.name)


def _labels(turns: Sequence[Turn]) -> dict[tuple[str, str], str]:
    """What each person is called, as nobody else is; a turn that is known neither by name nor by author has none."""
    names = {_speaker(turn): _shown_name(turn.name) for turn in turns if turn.role == "user"}
    labels: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for speaker, name in names.items():
        if not name and not speaker[0]:
            continue
        others = {other.casefold() for one, other in names.items() if one != speaker}
        label, number = _without_others(name or NAMELESS, others), 1
        while label.casefold() in taken:
            number += 1
            label = f"{name or NAMELESS} ({number})"
        taken.add(label.casefold())
        labels[speaker] = label
    return labels


def _without_others(name: str, others: set[str]) -> str:
    """`name` without the colon by which it would begin as a turn of somebody else does."""
    starts = (name[:at].strip().casefold() for at, char in enumerate(name) if char == ":")
    return " ".join(name.replace(":", " ").split()) if any(start in others for start in starts) else name


def _shown_name(name: str) -> str:
    """One short line of what can be seen: two names that look alike are alike."""
    return shortened(" ".join(without_unseen(unicodedata.normalize("NFKC", name)).split()), MAX_NAME_CHARS)
