"""Reads a card's example dialogues: `<START>` between them, and lines that begin with who speaks. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.new_persona.card_texts import CardTexts
from bot.new_persona.persona_draft import Row
from core.messages import ChatMessage

MAX_TURN_CHARS = 8_000
MAX_HISTORY_TURNS = 16
MAX_ROWS = 500
MIN_DIALOGUES_TO_HOLD_OUT = 2
HELD_OUT_EVERY = 5

_START = re.compile(r"^[ \t]*<start>[ \t]*$|<start>", re.IGNORECASE | re.MULTILINE)
_USER = r"\{\{user\}\}|<user>|user|you"
_CHARACTER = r"\{\{char\}\}|\{\{bot\}\}|<bot>|<char>"


@dataclass(frozen=True, slots=True)
class ExampleRows:
    """Rows to train on and rows held out, of so many dialogues; `unused` counts dialogues that hold no reply."""

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    dialogues: int
    unused: int


def read_examples(examples: str, texts: CardTexts, called: Sequence[str]) -> ExampleRows:
    """Every reply of the character is a row, under what was said before it in its dialogue.

    Whole dialogues are held out, so that no reply is both learned and measured. `called` are the character's names.
    """
    blocks = [block for block in _START.split(examples) if block.strip()]
    speaker = _speaker_pattern(called)
    dialogues = [rows for block in blocks if (rows := _rows(_turns(block, texts, speaker)))]
    is_held = [
        len(dialogues) >= MIN_DIALOGUES_TO_HOLD_OUT and number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
        for number in range(len(dialogues))
    ]
    if len(dialogues) >= MIN_DIALOGUES_TO_HOLD_OUT and not any(is_held):
        is_held[-1] = True
    # The same row twice in a file would be refused, and one that is learned says nothing when it is measured.
    train = dict.fromkeys(row for rows, held in zip(dialogues, is_held, strict=True) if not held for row in rows)
    held_out = dict.fromkeys(row for rows, held in zip(dialogues, is_held, strict=True) if held for row in rows)
    kept = tuple(row for row in held_out if row not in train)
    return ExampleRows(
        tuple(train)[:MAX_ROWS], kept[:MAX_ROWS], dialogues=len(dialogues), unused=len(blocks) - len(dialogues)
    )


def _speaker_pattern(called: Sequence[str]) -> re.Pattern[str]:
    names = "|".join([_CHARACTER, *map(re.escape, called)])
    return re.compile(rf"^[ \t]*(?:(?P<user>{_USER})|(?P<character>{names}))[ \t]*:", re.IGNORECASE)


def _turns(block: str, texts: CardTexts, speaker: re.Pattern[str]) -> list[ChatMessage]:
    """Turns of user and character by turns; lines without a speaker go on with what was said before them."""
    said: list[tuple[bool, list[str]]] = []
    for line in block.splitlines():
        if found := speaker.match(line):
            is_user = found["user"] is not None
            if not said or said[-1][0] != is_user:
                said.append((is_user, []))
            said[-1][1].append(line[found.end() :].strip())
        elif said:
            said[-1][1].append(line.rstrip())
    turns = []
    for is_user, lines in said:
        text = "\n".join(lines)
        content = texts.described(text) if is_user else texts.spoken(text)
        turns.append(ChatMessage("user" if is_user else "assistant", content))
    return turns


def _rows(turns: list[ChatMessage]) -> list[Row]:
    """A row for each reply to the user; none at all where a turn is empty or enormous."""
    if turns and turns[0].role == "assistant":
        turns = turns[1:]
    if any(not turn.content.strip() or len(turn.content) > MAX_TURN_CHARS for turn in turns):
        return []
    return [
        Row(
            turns[index - 1].content,
            turns[index].content,
            history=tuple(turns[max(0, index - 1 - MAX_HISTORY_TURNS) : index - 1]),
        )
        for index in range(1, len(turns), 2)
    ]
