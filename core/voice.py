"""How much a reply sounds like a persona, by words alone: cheap enough for every reply, and no judge of quality.

A persona's own words are those that its rows use far more often than the rows of the other personas do, and than its
own questions. Knows no model; `training.eval_adherence` measures the same better, with a classifier.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import InvalidData, NotFound
from core.outside_files import open_regular, parse_json
from core.personas import Persona

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*['’]?")
MAX_ROWS_BYTES = 16 << 20  # of a larger file, its first rows are enough
MIN_COUNT, MIN_LOG_ODDS = 3, math.log(4)


class Voice:
    """The own words of one persona."""

    def __init__(self, own: Iterable[str], others: Iterable[str]) -> None:
        """`own` are its replies, `others` the texts that it is held against."""
        mine, theirs = _count(own), _count(others)
        own_total, other_total = mine.total() + 1, theirs.total() + 1
        self._words = frozenset(
            word
            for word, count in mine.items()
            if count >= MIN_COUNT
            and math.log(count / own_total) - math.log((theirs[word] + 0.5) / other_total) >= MIN_LOG_ODDS
        )

    def share(self, reply: str) -> float:
        """The share of a reply's words that are the persona's own, from 0 to 1; 0 of a reply without words."""
        words = words_of(reply)
        return sum(word in self._words for word in words) / len(words) if words else 0.0


def words_of(text: str) -> list[str]:
    return [word.replace("’", "'") for word in WORD.findall(text.lower())]


def read_voice(persona: Persona, personas: Mapping[str, Persona]) -> Voice:
    """The voice that the persona's rows have; rows that cannot be read are none. Call it in a thread."""
    questions, replies = _texts(persona)
    for other in personas.values():
        if other.slug != persona.slug:
            questions += _texts(other)[1]
    return Voice(replies, questions)


def _texts(persona: Persona) -> tuple[list[str], list[str]]:
    """The questions and the replies of its rows."""
    questions: list[str] = []
    replies: list[str] = []
    try:
        with open_regular(persona.train_path) as file:
            for line in file.read(MAX_ROWS_BYTES).splitlines():
                row = _row(line)
                questions.append(str(row.get("instruction", "")))
                replies.append(str(row.get("output", "")))
    except (NotFound, InvalidData, OSError):
        return [], []
    return questions, replies


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except InvalidData:  # training says what is wrong with it
        return {}
    return row if isinstance(row, dict) else {}


def _count(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in words_of(text))
