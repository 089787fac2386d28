"""The style set: the demo model's own answers, retold in a persona's voice by the rules of its style.toml.

A real model learns a voice from train.jsonl; the bundled model has a few thousand words and learns it from these rows,
which keep its facts. Knows no model.
"""

from __future__ import annotations

import hashlib
import random
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from core.errors import InvalidData
from core.messages import ChatMessage
from core.personas import Persona
from training.data_files import TrainingRow
from training.demo_check import load_held_out
from training.demo_dialogues import Dialogue, DialogueMaker
from training.demo_facts import load_facts, normalise
from training.demo_forms import REFUSALS

STYLE_ROWS = 16_000
HELD_OUT_ROWS = 120
# The demo model is three orders of magnitude smaller than what the usual recipe is made for: it takes a higher rate.
# So small a model needs its linear layers adapted as well.
DEMO_RECIPE: dict[str, Any] = {
    "targets": "all-linear",
    "learning_rate": 1.5e-3,
    "epochs": 1.0,
    "batch_size": 16,
    "accumulation": 1,
}
# So small a model finds its fact in the first words of a reply, and loses it behind an opening: a persona's voice
# sounds mostly after the first sentence and at the end (docs/runs.md).
OPENING_SHARE = 0.12
ASIDE_SHARE = 0.5
CLOSING_SHARE = 0.75
# Small talk comes on top of what the dialogues hold of it: every persona has its own, which its base never said.
TALK_SHARE = 0.1
_FIRST_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Style:
    """A voice as rules: what may open, interrupt and close an answer, which words it swaps, and its own small talk."""

    openings: tuple[str, ...]
    asides: tuple[str, ...]
    closings: tuple[str, ...]
    refusals: tuple[str, ...]
    replacements: dict[str, str] = field(default_factory=dict)
    talk: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _words(self) -> re.Pattern[str]:
        longest_first = sorted(self.replacements, key=len, reverse=True)
        return re.compile(r"(?<![\w`'])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w`'])", re.IGNORECASE)

    def reword(self, text: str) -> str:
        """The same sentences with the voice's words. What stands in `backticks` stays."""
        pieces = re.split(r"(`[^`]*`)", text)
        return "".join(piece if piece.startswith("`") else self._swap(piece) for piece in pieces)

    def retell(self, text: str, rng: random.Random) -> str:
        """The same facts in the voice, with at least one sentence of the persona's own."""
        body = self.reword(text)
        draw = rng.random()
        sentences = _FIRST_SENTENCE_END.split(body, maxsplit=1)
        if draw < OPENING_SHARE:
            body = f"{rng.choice(self.openings)} {body}"
        elif draw < OPENING_SHARE + ASIDE_SHARE and len(sentences) == 2:
            body = f"{sentences[0]} {rng.choice(self.asides)} {sentences[1]}"
        else:
            return f"{body} {rng.choice(self.closings)}"
        return f"{body} {rng.choice(self.closings)}" if rng.random() < CLOSING_SHARE else body

    def _swap(self, text: str) -> str:
        return self._words.sub(self._swapped, text) if self.replacements else text

    def _swapped(self, match: re.Match[str]) -> str:
        word = match.group()
        swapped = self.replacements[word.lower()]
        return swapped[0].upper() + swapped[1:] if word[0].isupper() else swapped


def load_style(persona: Persona) -> Style:
    """Read style.toml. Raises InvalidData naming the file and what is wrong."""
    path = persona.folder / "style.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidData(
            f"{path}: {error}; the bundled demo model learns a persona's voice from this file, copy another persona's."
        ) from error
    return _checked_style(table, path)


def _checked_style(table: dict[str, object], path: Path) -> Style:
    """Raises InvalidData naming the file and everything that is wrong in it."""
    problems: list[str] = []

    def texts(name: str, value: object) -> tuple[str, ...]:
        if isinstance(value, list) and value and all(map(_is_filled, value)):
            return tuple(value)
        problems.append(f'"{name}" must be a list of texts, at least one, and none of them empty')
        return ()

    def entries(name: str) -> dict[str, object]:
        value = table.get(name, {})
        if isinstance(value, dict):
            return value
        problems.append(f"[{name}] must be a table")
        return {}

    lines = {name: texts(name, table.get(name)) for name in ("openings", "asides", "closings", "refusals")}
    talk = {key: texts(f"talk.{key}", value) for key, value in entries("talk").items()}
    replacements = entries("replacements")
    for key, value in replacements.items():
        if not (_is_filled(key) and _is_filled(value)):
            problems.append(f'[replacements] "{key}" and what replaces it must be texts, and not empty')
    if problems:
        raise InvalidData(f"{path}: {'; '.join(problems)}.")
    return Style(**lines, replacements={key.lower(): str(value) for key, value in replacements.items()}, talk=talk)


def _is_filled(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def style_rows(persona: Persona, count: int = STYLE_ROWS) -> list[TrainingRow]:
    """`count` rows in the persona's voice, earlier replies included: what the demo model learns instead of train.jsonl.

    Everything is drawn from a generator seeded with the persona's slug, so every run gives the same rows.
    """
    style = load_style(persona)
    seed = int.from_bytes(hashlib.sha256(persona.slug.encode()).digest()[:8], "big")
    rng = random.Random(seed)
    maker = DialogueMaker(load_facts(), seed=seed)
    talk_ids = {reply: talk.id for talk in maker.facts.talk for reply in talk.replies}

    def restyle(reply: str) -> str:
        if reply in REFUSALS:
            return rng.choice(style.refusals)
        own_talk = style.talk.get(talk_ids.get(reply, ""))
        return rng.choice(own_talk) if own_talk else style.retell(reply, rng)

    def rows() -> Iterator[TrainingRow]:
        for dialogue in maker.dialogues():
            if rng.random() < TALK_SHARE:
                talk = maker.talk()
                if normalise(talk.ask) not in maker.facts.held_out:
                    yield TrainingRow(talk.ask, restyle(talk.reply))
            yield _row(dialogue, restyle)

    return list(islice(rows(), count))


def _row(dialogue: Dialogue, restyle: Callable[[str], str]) -> TrainingRow:
    """Earlier turns stay where the question needs them; elsewhere they would double what the training costs."""
    *earlier, question = (turn for turn in dialogue.messages if turn.role != "system")
    if not dialogue.kind.startswith("follow_up"):
        earlier = []
    history = tuple(
        ChatMessage("assistant", restyle(turn.content)) if turn.role == "assistant" else turn for turn in earlier
    )
    return TrainingRow(question.content, restyle(dialogue.reply), history=history)


def held_out_rows(persona: Persona, count: int = HELD_OUT_ROWS) -> list[TrainingRow]:
    """Held-out questions, whose wordings no row of the style set has, answered in the persona's voice."""
    style, facts = load_style(persona), load_facts()
    rng = random.Random(f"{persona.slug}/held-out")
    definitions = {subject.id: subject.definition for subject in facts.subjects}
    questions = [question for question in load_held_out(facts) if question.kind == "subject"]
    return [
        TrainingRow(question.messages[-1].content, style.retell(definitions[question.subject], rng))
        for question in rng.sample(questions, min(count, len(questions)))
    ]
