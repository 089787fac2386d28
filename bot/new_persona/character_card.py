"""A SillyTavern character card, read from its JSON: what a persona takes of it, and what it leaves. Knows no files.

Spec v1 has its fields at the top, v2 and v3 below "data".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.new_persona.card_texts import one_line, plain_name
from core.errors import InvalidData

SPECS = {"chara_card_v2": "v2", "chara_card_v3": "v3"}
MAX_FIELD_CHARS = 200_000
TEXT_FIELDS = ("name", "nickname", "description", "personality", "scenario", "first_mes", "mes_example")
# What is read, and what says nothing to a persona.
KNOWN_FIELDS = frozenset(
    {*TEXT_FIELDS, "creator", "character_version", "creation_date", "modification_date", "extensions"}
)
# Fields that a persona has no place for, and what people call them.
LEFT_FIELDS = {
    "character_book": "the lorebook",
    "alternate_greetings": "alternate greetings",
    "group_only_greetings": "greetings for groups",
    "system_prompt": "the system prompt that overrides the program's own",
    "post_history_instructions": "the instructions after the conversation",
    "creator_notes": "the maker's notes",
    "creator_notes_multilingual": "the maker's notes in other languages",
    "assets": "assets",
    "tags": "tags",
    "source": "sources",
}
SCRIPTS = "regex_scripts"
MAX_NAMED = 8
MAX_CALLED_CHARS = 200
JSON_TYPES = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True)
class CharacterCard:
    """The texts as the card has them, macros and all; empty where it has none. `left_out` are lines for people.

    `name` is the character's, fit to be shown anywhere. `called` are the names its example dialogues may use.
    """

    spec: str
    name: str
    called: tuple[str, ...]
    description: str
    personality: str
    scenario: str
    greeting: str
    examples: str
    creator: str
    version: str
    left_out: tuple[str, ...]


def parse_card(value: dict[str, Any], *, name: str | None = None) -> CharacterCard:
    """Read a card; `name` is what to call the character instead. Raises InvalidData that says why it is none."""
    spec, data = _fields(value)
    problems = list(_problems(data))
    if problems:
        raise InvalidData("; ".join(problems))
    texts = {field: data.get(field) or "" for field in TEXT_FIELDS}
    called = tuple(
        dict.fromkeys(filter(None, (_short(texts[field], MAX_CALLED_CHARS) for field in ("nickname", "name"))))
    )
    shown = name or plain_name(texts["name"]) or plain_name(texts["nickname"])
    if not shown:
        raise InvalidData("its character has no name that can be shown, so give one with --name")
    if not any(texts[field].strip() for field in ("description", "personality", "scenario", "first_mes")):
        raise InvalidData("it says nothing about its character: description, personality and scenario are empty")
    return CharacterCard(
        spec=spec,
        name=shown,
        called=called,
        description=texts["description"],
        personality=texts["personality"],
        scenario=texts["scenario"],
        greeting=texts["first_mes"],
        examples=texts["mes_example"],
        creator=_short(data.get("creator")),
        version=_short(data.get("character_version")),
        left_out=tuple(_left_out(data, is_flat=spec == "v1")),
    )


def _fields(value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    spec = value.get("spec")
    if spec is None and "data" not in value:
        if "name" not in value:
            raise InvalidData('it has neither a "spec" nor a "name", as character cards do')
        return "v1", value
    if not isinstance(spec, str) or spec not in SPECS:
        raise InvalidData(f'its "spec" is {_shown(spec)}, and only {", ".join(SPECS)} are known')
    data = value.get("data")
    if not isinstance(data, dict):
        raise InvalidData(f'"data" is {_json_type(data)}, but must be an object')
    return SPECS[spec], data


def _problems(data: dict[str, Any]) -> Iterator[str]:
    for field in TEXT_FIELDS:
        text = data.get(field)
        if text is not None and not isinstance(text, str):
            yield f'"{field}" is {_json_type(text)}, but must be text'
        elif text is not None and len(text) > MAX_FIELD_CHARS:
            yield f'"{field}" is {len(text)} characters long, and at most {MAX_FIELD_CHARS} are taken'


def _left_out(data: dict[str, Any], *, is_flat: bool) -> Iterator[str]:
    """Whatever is there and not taken, a line each; an empty field is nothing."""
    for field, called in LEFT_FIELDS.items():
        value = data.get(field)
        if isinstance(value, dict) and field == "character_book":
            value = value.get("entries")
        if value:
            yield f"{called} ({field}{_count(value)})"
    extensions = data.get("extensions")
    if isinstance(extensions, dict):
        if extensions.get(SCRIPTS):
            yield f"scripts ({SCRIPTS}{_count(extensions[SCRIPTS])}); nothing in a card is ever run"
        if named := _named(key for key in extensions if key != SCRIPTS):
            yield f"extensions of other programs ({named})"
    elif extensions:
        yield "extensions of other programs"
    unknown = (key for key, value in data.items() if value and key not in KNOWN_FIELDS and key not in LEFT_FIELDS)
    if not is_flat and (named := _named(unknown)):  # a flat card has its program's own fields beside the spec's
        yield f"fields of no known meaning ({named})"


def _count(value: Any) -> str:
    return f": {len(value)}" if isinstance(value, list | dict) else ""


def _named(keys: Iterator[str]) -> str:
    """Some of the keys, which a stranger chose, in a few words."""
    named = [_short(key, 30) for key in keys]
    return ", ".join([*named[:MAX_NAMED], *(["..."] if len(named) > MAX_NAMED else [])])


def _short(value: Any, limit: int = 80) -> str:
    return one_line(value[: 4 * limit])[:limit] if isinstance(value, str) else ""


def _shown(value: Any) -> str:
    return f'"{_short(value, 40)}"' if isinstance(value, str) else _json_type(value)


def _json_type(value: Any) -> str:
    return "missing" if value is None else JSON_TYPES[type(value)]
