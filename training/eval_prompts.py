"""Chooses what a persona is asked when it is measured: its held-out rows, and the prompt sets that all share."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from core.engine.chat_template import ChatTemplate
from core.errors import InvalidData, PersonasError
from core.messages import ChatMessage
from core.personas import Persona, load_personas
from core.prompts import compose
from core.settings import Settings
from training.data_files import TrainingRow, read_rows, spread
from training.dataset_builder import example_of, token_count
from training.fixed_prompts import EvalLimits, Fact, read_facts, read_prompts

HELD_OUT, EVERYDAY, IDENTITY, FACTS, TEACH = "held_out", "everyday", "identity", "facts", "teach"
Conversation = tuple[ChatMessage, ...]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvalPrompts:
    """What is asked. Conversations have no system prompt; `drop_the_act` is by the sentence that is appended.

    `foreseen` are the held-out rows whose replies the model foresees. The classifier learns from `texts`, replies of
    the persona's training rows, against `others`, replies of other personas' training rows, and what the base model
    answers to `teach`, prompts of the persona's training rows.
    """

    foreseen: tuple[TrainingRow, ...]
    held_out: tuple[Conversation, ...]
    everyday: tuple[Conversation, ...]
    identity: tuple[Conversation, ...]
    facts: tuple[Fact, ...]
    drop_the_act: Mapping[str, tuple[Conversation, ...]]
    formats: tuple[Conversation, ...]
    refusals: tuple[Conversation, ...]
    texts: tuple[str, ...]
    others: tuple[str, ...]
    teach: tuple[Conversation, ...]
    held_out_rows_too_long: int

    @property
    def questions(self) -> tuple[Conversation, ...]:
        """The factual questions as conversations."""
        return tuple(_asked(fact.question) for fact in self.facts)

    def all(self) -> Iterator[Conversation]:
        """Every conversation that somebody answers."""
        for group in (
            self.held_out,
            self.everyday,
            self.identity,
            self.questions,
            self.formats,
            self.refusals,
            self.teach,
        ):
            yield from group
        for group in self.drop_the_act.values():
            yield from group


@dataclass(frozen=True, slots=True)
class Room:
    """The `tokens` of the model's context, of which a reply that it writes takes `reply_tokens`."""

    template: ChatTemplate
    tokens: int
    reply_tokens: int

    def has(self, conversation: Conversation, system_prompt: str = "") -> bool:
        """Whether the model can be asked this, with a reply of its own."""
        return self.size(conversation, system_prompt) <= self.tokens

    def size(self, conversation: Conversation, system_prompt: str = "") -> int:
        """Tokens of the prompt with the model's reply."""
        return len(self.template.encode(compose(system_prompt, conversation))) + self.reply_tokens

    def has_row(self, row: TrainingRow, system_prompt: str) -> bool:
        """Whether the row's own reply has room, too."""
        example = example_of(row, system_prompt)
        return token_count(example, self.template) <= self.tokens and self.has(_conversation(row), system_prompt)


def choose_prompts(persona: Persona, settings: Settings, limits: EvalLimits, room: Room) -> EvalPrompts:
    """What this persona is asked. What the model has no room for is left out; held-out rows among it are counted.

    Raises NotFound without held-out rows, InvalidData for bad rows or where no held-out row has room.
    """
    rows, too_long = _held_out(persona, settings, room)

    def fitting(prompts: Sequence[str], count: int) -> tuple[Conversation, ...]:
        asked = (_asked(prompt) for prompt in prompts)
        return tuple(spread([one for one in asked if room.has(one, persona.system_prompt)], count))

    held_out = tuple(spread([_conversation(row) for row in rows], limits.held_out))
    everyday = read_prompts(EVERYDAY)
    judged = {*map(_bare, everyday), *(_bare(turns[-1].content) for turns in held_out)}
    teaching = [row for row in read_rows(persona.train_path) if _bare(row.user_text) not in judged]
    return EvalPrompts(
        foreseen=tuple(spread(rows, limits.perplexity_rows)),
        held_out=held_out,
        everyday=fitting(everyday, limits.everyday),
        identity=fitting(read_prompts(IDENTITY), limits.identity),
        facts=tuple(
            spread([one for one in read_facts() if room.has(_asked(one.question), persona.system_prompt)], limits.facts)
        ),
        drop_the_act={
            suffix: fitting([f"{prompt} {suffix}" for prompt in spread(everyday, limits.drop_the_act)], len(everyday))
            for suffix in (read_prompts("drop_the_act") if limits.drop_the_act else ())
        },
        formats=fitting(read_prompts("formats"), limits.formats),
        refusals=fitting(read_prompts("refusals"), limits.refusals),
        texts=tuple(row.output for row in spread(teaching, limits.texts)),
        others=_replies_of_others(persona, settings, judged, limits.texts),
        teach=tuple(spread([turns for row in teaching if room.has(turns := _conversation(row))], limits.base_replies)),
        held_out_rows_too_long=too_long,
    )


def _held_out(persona: Persona, settings: Settings, room: Room) -> tuple[list[TrainingRow], int]:
    """The held-out rows that have room, and how many have none."""
    found = read_rows(persona.eval_path)
    rows = [row for row in found if room.has_row(row, persona.system_prompt)]
    if too_long := len(found) - len(rows):
        logger.warning(
            "%d of %d held-out rows leave no room in %d tokens and are left out", too_long, len(found), room.tokens
        )
    if not rows:
        raise InvalidData(f"No held-out row of {persona.slug} leaves room in {room.tokens} tokens; shorten them.")
    return rows, too_long


def _replies_of_others(persona: Persona, settings: Settings, judged: AbstractSet[str], count: int) -> tuple[str, ...]:
    """Training replies of the other installed personas; one whose rows cannot be read is left out, and so is a row
    that a blend shares with this persona: its own voice is nobody else's."""
    others = [other for other in load_personas(settings.dir, settings.own_dir).values() if other.slug != persona.slug]
    own = {row.output for row in read_rows(persona.train_path)}
    texts: list[str] = []
    for other in others:
        try:
            rows = read_rows(other.train_path)
        except PersonasError:
            continue
        fitting = [row.output for row in rows if row.output not in own and _bare(row.user_text) not in judged]
        texts += spread(fitting, count // len(others))
    return tuple(texts)


def _bare(text: str) -> str:
    """A prompt without what makes no other prompt of it: case and punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _asked(text: str) -> Conversation:
    return (ChatMessage("user", text),)


def _conversation(row: TrainingRow) -> Conversation:
    return (*row.history, ChatMessage("user", row.user_text))
