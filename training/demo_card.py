"""Writes the bundled model's card: what it is, how it was made, and the figures measured on it. Knows no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIGURES_FILE = "figures.json"
KINDS = {
    "subject": "questions about its subjects, in wordings it never saw",
    "follow_up": 'short follow-ups ("why?", "give me an example") to an answer',
    "talk": "small talk",
    "off_topic": "other questions, turned away in a friendly way",
}
CARD = """\
---
license: mit
language: en
---

# The bundled demo model

A Llama-shaped language model of {parameters:,} parameters that comes with Plug-and-Play Personas, so that everything
can be tried on a laptop without a download. It explains {subjects} programming subjects in one to three sentences,
takes short follow-ups, makes small talk, and says of everything else that it is only the small demo model.

**It is a demo and not an assistant.** It can't write code, reason, or look anything up; it tells learned sentences, at
times the wrong one. For real conversations set a real model: `PERSONAS_BASE_MODEL=Qwen/Qwen3-4B-Instruct-2507`, say.

## How it was made

From nothing, by `make demo-model`, on text that the project generates: {subjects} facts written for it (by a language
model, reviewed), asked in hundreds of forms and thousands of single wordings with openers, closers and typing mistakes,
in dialogues with and without system prompts. No text of other origin, no personal data. Byte-level BPE with
{vocab_size:,} tokens, ChatML template with a system role that reads users in lower case, {layers} layers of width
{hidden_size}, at most {max_tokens:,} tokens of context, bf16.

Recipe: {steps:,} steps of about {batch_tokens:,} tokens, AdamW, learning rate {learning_rate:g} with warm-up and cosine
decay, seed {seed}; {minutes} minutes on {device}. Most examples stop after the reply's first {brief_tokens} tokens,
which decide the fact, and those tokens weigh {opening_weight:g}-fold. The exact figures stand in `recipe.json`.

## What was measured

Greedy replies to held-out questions, written without sight of the question forms; a wording that is held out never
occurs in training. The tuning set's misses were read while the forms were widened; the fresh set's never were, so its
column is the honest one. A reply is right when the nearest of all learned texts belongs to the
subject asked about and the reply shares at least 70 % of its words.

| asked | fresh set ({fresh} questions) | tuning set ({tuning} questions) |
|---|---|---|
{table}

`python -m training.demo_check` measures it again and prints what it got wrong.

## Licence

MIT, like the project.
"""


def write_card(folder: Path, figures: dict[str, dict[str, Any]], facts: dict[str, Any]) -> None:
    """Write README.md and figures.json into the model's folder.

    `figures` come from `demo_check.measure`; `facts` are the recipe's fields with `parameters`, `subjects`,
    `train_seconds` and `device`.
    """
    (folder / FIGURES_FILE).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    fresh, tuning = figures["fresh"], figures["tuning"]
    table = "\n".join(
        f"| {text} | {fresh['right'][kind]:.1%} | {tuning['right'][kind]:.1%} |" for kind, text in KINDS.items()
    )
    counts = {name: figures[name]["questions"] for name in figures}
    minutes = round(facts["train_seconds"] / 60)
    (folder / "README.md").write_text(CARD.format(**facts, **counts, table=table, minutes=minutes), encoding="utf-8")
