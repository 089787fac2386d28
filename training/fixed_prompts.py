"""Reads what every persona is measured with: prompts, factual questions, thresholds and the classifier's split.

They lie in prompt_sets/ beside this file and belong to the program, so that figures of different days compare.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).resolve().parent / "prompt_sets"


@dataclass(frozen=True, slots=True)
class Fact:
    """A short factual question, and the answers of which one must stand in the reply."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is asked of a persona with an adapter; thresholds.toml says what each number means."""

    perplexity_ratio: float
    false_alarms: float
    adherence: float
    adherence_masked: float
    drop_the_act: float
    identity: float
    flawed_beyond_base: float
    retention: float
    formats: float
    refusals: float
    general_text: float


@dataclass(frozen=True, slots=True)
class EvalLimits:
    """How much is measured; split.toml says what each number counts. What is 0 is not measured."""

    perplexity_rows: int
    held_out: int
    everyday: int
    prompted: int
    drop_the_act: int
    identity: int
    facts: int
    base_replies: int
    texts: int
    formats: int
    refusals: int
    general: int
    probe: int
    max_new_tokens: int
    batch_size: int


def read_prompts(name: str) -> tuple[str, ...]:
    """The lines of a set: "everyday", "identity", "drop_the_act", "formats", "refusals", or the "plain_texts"."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def read_facts() -> tuple[Fact, ...]:
    """The factual questions, in their order."""
    rows = [json.loads(line) for line in (FOLDER / "facts.jsonl").read_text(encoding="utf-8").splitlines() if line]
    return tuple(Fact(row["question"], tuple(row["answers"])) for row in rows)


def read_thresholds() -> Thresholds:
    return Thresholds(**_read_toml("thresholds.toml"))


def read_limits(table: Literal["full", "gate", "short"]) -> EvalLimits:
    return EvalLimits(**_read_toml("split.toml")[table])


def _read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
