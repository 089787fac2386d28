"""Personas, rows and chat templates for tests of the training. The rows are made up here; no real model is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, GenerationConfig

from core.personas import Persona, load_persona
from core.settings import Settings, load_settings
from tests.models.tiny_models import CHATML_TEMPLATE, make_tiny_model
from training.data_files import TrainingRow

PIRATE_WORDS = "Arr, matey! Number {0} be a fine catch; hoist {1} o' them and sail on, savvy?"
MONK_WORDS = "Breathe. The number {0} is a leaf on the pond, and {1} follows it in silence."


@dataclass(frozen=True)
class TemplateCase:
    """A chat template in the manner of a model family, its special tokens, and the golden texts of one exchange."""

    template: str
    special_tokens: tuple[str, ...]
    stop_token: str
    has_system_role: bool
    prompt: str
    trained: str


REPLY = "Arr, hello to ye!"
SYSTEM = "You are a pirate."
USER = "Say hello."

TEMPLATES: dict[str, TemplateCase] = {
    "chatml": TemplateCase(
        CHATML_TEMPLATE,
        (),
        "<|im_end|>",
        True,
        "<|im_start|>system\nYou are a pirate.<|im_end|>\n<|im_start|>user\nSay hello.<|im_end|>\n"
        "<|im_start|>assistant\n",
        "Arr, hello to ye!<|im_end|>\n",
    ),
    "llama3": TemplateCase(
        "{{ '<|begin_of_text|>' }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
        "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        True,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a pirate.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nSay hello.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "Arr, hello to ye!<|eot_id|>",
    ),
    "gemma": TemplateCase(
        "{{ '<bos>' }}{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
        "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>",
        False,
        "<bos><start_of_turn>user\nYou are a pirate.\n\nSay hello.<end_of_turn>\n<start_of_turn>model\n",
        "Arr, hello to ye!<end_of_turn>\n",
    ),
    "phi3": TemplateCase(
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% else %}<|endoftext|>{% endif %}",
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<|end|>",
        True,
        "<|system|>\nYou are a pirate.<|end|>\n<|user|>\nSay hello.<|end|>\n<|assistant|>\n",
        "Arr, hello to ye!<|end|>\n<|endoftext|>",
    ),
    "mistral": TemplateCase(
        "{{ '<s>' }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}</s>{% endif %}"
        "{% endfor %}",
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "</s>",
        False,
        "<s>[INST] You are a pirate.\n\nSay hello. [/INST]",
        " Arr, hello to ye!</s>",
    ),
}


def make_model_with_template(case: TemplateCase, folder: Path) -> Path:
    """A tiny Llama whose tokenizer speaks this template and whose generation config names its stop token."""
    make_tiny_model("llama", folder, vocab_size=512)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(case.special_tokens), special_tokens=True)
    tokenizer.chat_template = case.template
    tokenizer.save_pretrained(folder)
    stop_ids = [tokenizer.convert_tokens_to_ids(case.stop_token), tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    GenerationConfig(eos_token_id=stop_ids, pad_token_id=tokenizer.pad_token_id).save_pretrained(folder)
    return folder


def make_rows(words: str, count: int, *, start: int = 0) -> list[TrainingRow]:
    return [
        TrainingRow(f"What is the number {number}?", words.format(number, number + 1))
        for number in range(start, start + count)
    ]


def write_rows(path: Path, rows: Sequence[TrainingRow]) -> Path:
    path.write_text("".join(json.dumps(row.to_dict()) + "\n" for row in rows), encoding="utf-8")
    return path


def make_persona(personas: Path, slug: str, words: str, *, rows: int = 32, held_out: int = 8) -> Persona:
    """A persona folder with training and held-out rows in one voice."""
    folder = personas / slug
    folder.mkdir(parents=True)
    phrase = words.split("!")[0].split(".")[0]
    (folder / "persona.toml").write_text(
        f'name = "{slug}"\ndescription = "A test persona."\ngreeting = "Hello."\ncatchphrases = ["{phrase}"]\n',
        encoding="utf-8",
    )
    (folder / "system_prompt.md").write_text(f"You are a {slug}.", encoding="utf-8")
    write_rows(folder / "train.jsonl", make_rows(words, rows))
    write_rows(folder / "eval.jsonl", make_rows(words, held_out, start=rows))
    return load_persona(folder)


def make_workshop(root: Path, architecture: str = "llama", **changes: Any) -> tuple[Persona, Settings]:
    """A tiny base model, a pirate and a monk; returns the pirate and the settings that find everything."""
    model = make_tiny_model(architecture, root / "tiny-model")
    pirate = make_persona(root / "personas", "pirate", PIRATE_WORDS)
    make_persona(root / "personas", "monk", MONK_WORDS)
    settings = {"base_model": str(model), "data_dir": root / "data", "dir": root / "personas", "device": "cpu"}
    return pirate, load_settings(**{**settings, **changes})
