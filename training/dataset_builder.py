"""Turns a persona's rows into prompt-completion examples, through the code that builds prompts in serving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.engine.chat_template import TEMPLATE_KWARGS, ChatTemplate
from core.errors import InvalidData
from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from training.data_files import TrainingRow


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt as the model sees it in serving, and the reply to learn."""

    prompt: tuple[ChatMessage, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class PersonaDataset:
    """Examples that fit the recipe's length. `sha256` covers the rows before that and the system prompt."""

    examples: tuple[Example, ...]
    sha256: str
    rows: int
    too_long: int


def example_of(row: TrainingRow, system_prompt: str) -> Example:
    """A row under a system prompt, composed as the worker composes a conversation.

    White space around the reply goes, as most templates would drop it; the others would merge it into the prompt's
    last token.
    """
    return Example(compose(system_prompt, (*row.history, ChatMessage("user", row.user_text))), row.output.strip())


def build_dataset(
    persona: Persona, rows: Sequence[TrainingRow], template: ChatTemplate, *, max_length: int
) -> PersonaDataset:
    """Compose the examples and leave out those longer than `max_length` tokens.

    Cutting them instead would teach replies that never stop. Raises InvalidData when none is left, and for a text that
    writes out a special token of this model, which would act as one.
    """
    examples = [example_of(row, persona.system_prompt) for row in rows]
    for number, example in enumerate(examples, start=1):
        token = template.special_token_in("\n".join([*(turn.content for turn in example.prompt), example.reply]))
        if token is not None:
            raise InvalidData(
                f"Row {number} of {persona.slug}, or its system prompt, writes out {token}, which is a special token of"
                " this model; put a space into it."
            )
    fitting = tuple(example for example in examples if token_count(example, template) <= max_length)
    if not fitting:
        raise InvalidData(
            f"All {len(examples)} rows of {persona.slug} are longer than {max_length} tokens with its system prompt;"
            " shorten them, or raise max_length where the model has room."
        )
    return PersonaDataset(fitting, dataset_hash(persona, rows), len(examples), len(examples) - len(fitting))


def token_count(example: Example, template: ChatTemplate) -> int:
    """Tokens of an example's prompt and reply, with all that the template writes around them."""
    return len(token_ids(example, template))


def token_ids(example: Example, template: ChatTemplate) -> list[int]:
    """Those tokens themselves."""
    return template.encode_text(template.render(example.prompt, reply=example.reply))


def to_columns(examples: Sequence[Example], template: ChatTemplate) -> dict[str, list[Any]]:
    """TRL's conversational prompt-completion columns
    (https://huggingface.co/docs/trl/dataset_formats#prompt-completion)."""
    return {
        "prompt": [template.fit(example.prompt) for example in examples],
        "completion": [[{"role": "assistant", "content": example.reply}] for example in examples],
        "chat_template_kwargs": [TEMPLATE_KWARGS for _ in examples],
    }


def dataset_hash(persona: Persona, rows: Sequence[TrainingRow]) -> str:
    """sha256 over the system prompt and the rows in their order, each as canonical JSON."""
    digest = hashlib.sha256()
    for part in (persona.system_prompt, *(row.to_dict() for row in rows)):
        digest.update(json.dumps(part, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()
