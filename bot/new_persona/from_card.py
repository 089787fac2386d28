"""Makes a draft of a character card, and says what became of the card. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.new_persona.avatar import make_avatar
from bot.new_persona.card_file import read_card_file
from bot.new_persona.card_texts import CardTexts, one_line, shortened
from bot.new_persona.character_card import CharacterCard, parse_card
from bot.new_persona.example_dialogues import ExampleRows, read_examples
from bot.new_persona.persona_draft import PersonaDraft
from bot.new_persona.starter import GREETING, card_text, held_out_rows, starter_rows
from core.errors import InvalidData
from core.personas import MAX_DESCRIPTION_CHARS, MAX_GREETING_CHARS, MAX_NAME_CHARS, MAX_SYSTEM_PROMPT_CHARS

ROLE = "You are {name}. Speak as {name}, in the first person, and stay in character."
FEW_ROWS = 50  # fewer teach hardly more than a few turns of phrase


@dataclass(frozen=True, slots=True)
class CardDraft:
    """A draft made of a card. `taken`, `changed` and `left_out` are lines for people."""

    draft: PersonaDraft
    spec: str
    taken: tuple[str, ...]
    changed: tuple[str, ...]
    left_out: tuple[str, ...]


def draft_from_card(slug: str, path: Path, *, name: str | None = None, description: str | None = None) -> CardDraft:
    """Read a card and draft a persona of it. Raises NotFound, and InvalidData that says what is wrong with the file."""
    file = read_card_file(path)
    try:
        card = parse_card(file.value, name=name)
    except InvalidData as error:
        raise InvalidData(f"{path} cannot be taken as a character card: {error}.") from error
    avatar, about_avatar = (None, "") if file.png is None else make_avatar(file.png)
    return _CardDrafting(slug, card, description).finished(avatar, about_avatar)


class _CardDrafting:
    """The texts of a draft as they are made, and what had to be changed for it."""

    def __init__(self, slug: str, card: CharacterCard, description: str | None) -> None:
        self._slug, self._card = slug, card
        self._changed: list[str] = []
        self._name = self._fitted("The name", card.name, MAX_NAME_CHARS)
        self._texts = texts = CardTexts(self._name)
        self._about = [texts.described(text) for text in (card.description, card.personality, card.scenario)]
        self._given_description = description

    def finished(self, avatar: bytes | None, about_avatar: str) -> CardDraft:
        card, texts, name = self._card, self._texts, self._name
        description = self._description()
        greeting = self._fitted("The greeting", one_line(texts.spoken(card.greeting)), MAX_GREETING_CHARS)
        examples = read_examples(card.examples, texts, (name, *card.called))
        train, held_out = examples.train or starter_rows(name), examples.held_out or held_out_rows(name)
        draft = PersonaDraft(
            slug=self._slug,
            name=name,
            description=description,
            greeting=greeting or GREETING.replace("{name}", name),
            system_prompt=self._fitted("system_prompt.md", self._system_prompt(), MAX_SYSTEM_PROMPT_CHARS),
            train=train,
            held_out=held_out,
            card=card_text(self._slug, name, description, len(train), len(held_out), self._origin(examples)),
            avatar=avatar,
        )
        if name not in card.called:
            self._changed.append(f'The character is called "{name}" here.')
        taken = [self._fields_taken(), *_rows_taken(examples)]
        left_out = list(card.left_out)
        if about_avatar:
            (left_out if avatar is None else taken).append(about_avatar)
        changed = (*self._changed, *texts.changes, *_rows_missing(examples))
        return CardDraft(draft, card.spec, tuple(taken), changed, tuple(left_out))

    def _description(self) -> str:
        """One line for people who choose: the card's own description is a page for the model."""
        about = next(filter(None, map(one_line, self._about)), f"{self._name}, of a character card.")
        return self._given_description or shortened(about, MAX_DESCRIPTION_CHARS)

    def _system_prompt(self) -> str:
        described, personality, scenario = self._about
        parts = [ROLE.replace("{name}", self._name), described]
        parts += [f"Personality: {personality}"] if personality else []
        parts += [f"Scenario: {scenario}"] if scenario else []
        return "\n\n".join(filter(None, parts))

    def _origin(self, examples: ExampleRows) -> str:
        maker = f" by {self._card.creator}" if self._card.creator else ""
        version = f", version {self._card.version}" if self._card.version else ""
        rows = (
            "Its example dialogues are the rows."
            if examples.train
            else "It has no example dialogues: rewrite the rows."
        )
        return (
            f"Made of a character card{maker}{version} (spec {self._card.spec}). {rows} The card's texts and picture"
            " are its maker's: ask before you share them."
        )

    def _fields_taken(self) -> str:
        fields = ("description", "personality", "scenario", "greeting")
        return ", ".join(["name", *(field for field in fields if getattr(self._card, field).strip())])

    def _fitted(self, what: str, text: str, limit: int) -> str:
        fitted = shortened(text, limit)
        if fitted != text:
            self._changed.append(f"{what} was cut from {len(text)} to {len(fitted)} characters; {limit} are allowed.")
        return fitted


def _rows_taken(examples: ExampleRows) -> Iterator[str]:
    if examples.train:
        held_out = f", and {len(examples.held_out)} held out in eval.jsonl" if examples.held_out else ""
        yield f"{examples.dialogues} example dialogues, as {len(examples.train)} rows in train.jsonl{held_out}"


def _rows_missing(examples: ExampleRows) -> Iterator[str]:
    if examples.unused:
        yield f"Example dialogues that hold no question with its reply were left out: {examples.unused}."
    if not examples.train:
        yield "The card has no example dialogues that could train: train.jsonl holds a dozen plain rows to rewrite."
    elif len(examples.train) < FEW_ROWS:
        yield "So few rows teach hardly a voice: write more into train.jsonl."
    if not examples.held_out:
        yield "The held-out rows in eval.jsonl are plain ones: rewrite them, or nothing true is measured."
