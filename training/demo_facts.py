"""What the bundled demo model knows, as records read from training/demo_corpus/. Knows no templates and no model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CORPUS = Path(__file__).parent / "demo_corpus"
# The first was read while question forms were written, the second was written later, and never looked at but to grade.
HELD_OUT_FILES = {"tuning": "held_out.jsonl", "fresh": "held_out_fresh.jsonl"}
FACT_FILES = ("facts_basics.jsonl", "facts_design.jsonl", "facts_systems.jsonl")


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject: how people name it, what the model says of it, and questions no template would produce."""

    id: str
    names: tuple[str, ...]
    definition: str
    again: str
    example: str
    why: str
    opposite: str
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Talk:
    """Small talk: wordings and the replies that fit them."""

    id: str
    asks: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two subjects that people compare."""

    a: str
    b: str
    names_a: tuple[str, ...]
    names_b: tuple[str, ...]
    answer: str
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoFacts:
    """Everything the corpus is made of."""

    subjects: tuple[Subject, ...]
    talk: tuple[Talk, ...]
    contrasts: tuple[Contrast, ...]
    off_topic: tuple[str, ...]
    off_topic_nouns: tuple[str, ...]
    held_out: frozenset[str]


@cache
def load_facts(folder: Path = CORPUS) -> DemoFacts:
    """Read the corpus folder. A wording that is also a held-out question is left out of what may be trained on."""
    held_out = frozenset(normalise(row["ask"]) for name in HELD_OUT_FILES.values() for row in read_jsonl(folder / name))

    def rows(name: str) -> Iterator[dict[str, Any]]:
        for row in read_jsonl(folder / name):
            if "asks" in row:
                row["asks"] = [ask for ask in row["asks"] if normalise(ask) not in held_out]
            if "ask" not in row or normalise(row["ask"]) not in held_out:
                yield row

    return DemoFacts(
        subjects=tuple(_record(Subject, row) for name in FACT_FILES for row in rows(name)),
        talk=tuple(_record(Talk, row) for row in rows("talk.jsonl")),
        contrasts=tuple(_record(Contrast, row) for row in rows("contrasts.jsonl")),
        off_topic=tuple(row["ask"] for row in rows("off_topic.jsonl")),
        held_out=held_out,
        off_topic_nouns=tuple((folder / "off_topic_nouns.txt").read_text(encoding="utf-8").split("\n")[:-1]),
    )


def normalise(ask: str) -> str:
    """A wording without what `demo_forms.dress` varies: case, punctuation and space."""
    return " ".join(re.findall(r"\w+", ask.lower()))


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file that this project wrote itself."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _record(kind: type[T], row: dict[str, Any]) -> T:
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
