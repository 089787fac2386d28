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
model, reviewed), asked in hundreds of forms with openers, closers and typing mistakes, in dialogues with and without
system prompts. No text of other origin, no personal data. Byte-level BPE with {vocab_size:,} tokens, ChatML template
with a system role, {layers} layers of width {hidden_size}, at most {max_tokens:,} tokens of context, bf16.

Recipe: {steps:,} steps of about {batch_tokens:,} tokens, AdamW, learning rate {learning_rate:g} with warm-up and cosine
decay, seed {seed}; {minutes} minutes on {device}. Most examples stop after the reply's first {brief_tokens} tokens,
which decide the fact, and those tokens weigh {opening_weight:g}-fold. The exact figures stand in `recipe.json`.
{history}
## What was measured

Greedy replies to {questions} held-out questions (`training/demo_corpus/held_out.jsonl`), written without sight of the
question forms; a wording that is held out never occurs in training. A reply is right when the nearest of all learned
texts belongs to the subject asked about and the reply shares at least 70 % of its words.

| asked | right |
|---|---|
{table}

`python -m training.demo_check` measures it again and prints what it got wrong.

## Licence

MIT, like the project.
"""


def write_card(folder: Path, rates: dict[str, float], questions: int, facts: dict[str, Any], history: str = "") -> None:
    """Write README.md and figures.json into the model's folder.

    `rates` is the share of right replies by kind; `facts` are the recipe's fields with `parameters`, `subjects`,
    `train_seconds` and `device`; `history` is a sentence about a model that was not made in one go.
    """
    table = "\n".join(f"| {KINDS[kind]} | {rate:.1%} |" for kind, rate in sorted(rates.items()))
    figures = {"questions": questions, "right": {kind: round(rate, 4) for kind, rate in sorted(rates.items())}}
    (folder / FIGURES_FILE).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    note = f"\n{history}\n" if history else ""
    minutes = round(facts["train_seconds"] / 60)
    card = CARD.format(**facts, table=table, questions=questions, minutes=minutes, history=note)
    (folder / "README.md").write_text(card, encoding="utf-8")
