"""Turns the facts into dialogues: an endless, seeded stream of (messages, reply). Knows no model and no tokenizer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.messages import ChatMessage
from training import demo_forms as forms
from training.demo_clues import ClueMaker
from training.demo_facts import DemoFacts, Subject, normalise


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns that end with a user message, and the reply to it. `kind` and `subject` say what is asked, for grading."""

    messages: tuple[ChatMessage, ...]
    reply: str
    kind: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its reply, before it becomes part of a dialogue."""

    ask: str
    reply: str
    kind: str
    subject: str = ""


class DialogueMaker:
    """Draws questions and dialogues from the facts. The same seed gives the same stream.

    `held_out_families` names form families that are never drawn, so that they can be asked in the evaluation.
    """

    def __init__(
        self,
        facts: DemoFacts,
        *,
        seed: int,
        held_out_families: frozenset[str] = frozenset(),
        system_prompts: Sequence[str] = (),
    ) -> None:
        self.facts = facts
        self.rng = random.Random(seed)
        self.system_prompts = tuple(system_prompts)
        self._by_id = {subject.id: subject for subject in facts.subjects}
        self._definition_forms = _drawn(forms.DEFINITION_FORMS, held_out_families)
        self._why_forms = _drawn(forms.WHY_FORMS, held_out_families)
        self._example_forms = _drawn(forms.EXAMPLE_FORMS, held_out_families)
        self._opposite_forms = _drawn(forms.OPPOSITE_FORMS, held_out_families)
        self._nouns = facts.off_topic_nouns
        self._clues = ClueMaker(facts.subjects)
        self._queue: list[Subject] = []

    def dialogues(self) -> Iterator[Dialogue]:
        """The endless stream: single questions, follow-ups and longer conversations, with and without system prompt.

        A wording that is held out for the evaluation never comes.
        """
        while True:
            draw = self.rng.random()
            is_follow_up = draw < 0.22
            dialogue = self.follow_up(self.next_subject()) if is_follow_up else self._with_history(self.question())
            dialogue = self._with_system(dialogue)
            if normalise(dialogue.messages[-1].content) not in self.facts.held_out:
                yield dialogue

    def next_subject(self) -> Subject:
        """Subjects in shuffled rounds, so that none is drawn rarely."""
        if not self._queue:
            self._queue = self.rng.sample(self.facts.subjects, len(self.facts.subjects))
        return self._queue.pop()

    def question(self) -> Question:
        draw = self.rng.random()
        if draw < 0.60:
            return self.subject_question(self.next_subject())
        if draw < 0.66:
            return self.contrast()
        if draw < 0.79:
            return self.talk()
        return self.off_topic()

    def subject_question(self, subject: Subject) -> Question:
        """A question about one subject that stands alone."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.46:
            ask = rng.choice(subject.asks) if draw < 0.37 else self._clues.question(rng, subject)
            return Question(forms.dress(rng, ask), subject.definition, "definition", subject.id)
        if draw < 0.82:
            family, kind, reply = self._definition_forms, "definition", subject.definition
        elif draw < 0.91:
            family, kind, reply = self._why_forms, "why", f"{subject.definition} {subject.why}"
        elif draw < 0.96:
            family, kind, reply = self._example_forms, "example", f"{subject.definition} {subject.example}"
        else:
            family, kind, reply = self._opposite_forms, "opposite", subject.opposite
        return Question(self._ask(family, rng.choice(subject.names)), reply, kind, subject.id)

    def contrast(self) -> Question:
        rng = self.rng
        contrast = rng.choice(self.facts.contrasts)
        if rng.random() < 0.3:
            return Question(forms.dress(rng, rng.choice(contrast.asks)), contrast.answer, "contrast", contrast.a)
        a, b = rng.choice(contrast.names_a), rng.choice(contrast.names_b)
        a, b = (a, b) if rng.random() < 0.5 else (b, a)
        ask = rng.choice(forms.CONTRAST_FORMS).format(a=a, b=b)
        return Question(forms.dress(rng, ask), contrast.answer, "contrast", contrast.a)

    def talk(self) -> Question:
        rng = self.rng
        talk = rng.choice(self.facts.talk)
        ask = rng.choice(talk.asks)
        ask = forms.dress(rng, ask) if rng.random() < 0.4 else ask
        return Question(ask, rng.choice(talk.replies), "talk", talk.id)

    def off_topic(self) -> Question:
        """Something the model must not pretend to know: a real question, or an unknown noun in a known form."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.5:
            ask = rng.choice(self.facts.off_topic)
            ask = self._spliced(ask) if rng.random() < 0.4 else ask
            ask = forms.dress(rng, ask) if rng.random() < 0.5 else ask
        else:
            family = rng.choice((self._definition_forms, self._definition_forms, self._why_forms, self._example_forms))
            ask = self._ask(family, self._unknown_noun())
        return Question(ask, rng.choice(forms.REFUSALS), "off_topic")

    def _spliced(self, ask: str) -> str:
        """The beginning of one question that is off topic and the end of another: as far from every subject as both."""
        head, tail = ask.split(), self.rng.choice(self.facts.off_topic).split()
        return " ".join((*head[: self.rng.randint(1, len(head))], *tail[self.rng.randrange(len(tail)) :]))

    def follow_up(self, subject: Subject) -> Dialogue:
        """A question, its answer, and a short follow-up that only makes sense after it."""
        rng = self.rng
        kind = rng.choice(tuple(forms.FOLLOW_UPS))
        first = self.subject_question(subject)
        turns = [*self._earlier_turns(0.15), *_turns(first)]
        if rng.random() < 0.2:
            other = rng.choice([name for name in forms.FOLLOW_UPS if name != kind])
            turns += _turns(Question(self._follow_up_ask(other), getattr(subject, other), ""))
        elif rng.random() < 0.1:
            turns += _turns(Question(rng.choice(forms.THANKS), self._talk_reply("ok"), ""))
        turns.append(ChatMessage("user", self._follow_up_ask(kind)))
        return Dialogue(tuple(turns), getattr(subject, kind), f"follow_up_{kind}", subject.id)

    def _follow_up_ask(self, kind: str) -> str:
        ask = self.rng.choice(forms.FOLLOW_UPS[kind])
        return forms.dress(self.rng, ask) if self.rng.random() < 0.5 else ask

    def _talk_reply(self, talk_id: str) -> str:
        return next((talk.replies[0] for talk in self.facts.talk if talk.id == talk_id), "You are welcome!")

    def _ask(self, family: list[list[str]], name: str) -> str:
        rng = self.rng
        form = forms.cross(rng, family) if rng.random() < 0.25 else rng.choice(rng.choice(family))
        name = forms.mistype_name(rng, name) if rng.random() < 0.15 else name
        return forms.dress(rng, forms.fill(form, name))

    def _unknown_noun(self) -> str:
        rng, draw = self.rng, self.rng.random()
        if draw < 0.62:
            return rng.choice(self._nouns)
        if draw < 0.86:
            word = forms.invent_word(rng)
            return rng.choice(
                (word, f"a {word}", f"the {word}", f"{word}s", word.capitalize(), f"{word} {forms.invent_word(rng)}")
            )
        words = rng.choice(self.facts.off_topic).split()
        start = rng.randrange(len(words))
        return " ".join(words[start : start + rng.choice((1, 2, 2, 3))]).strip("?.!,")

    def _with_history(self, question: Question) -> Dialogue:
        earlier = self._earlier_turns(0.2)
        return Dialogue((*earlier, ChatMessage("user", question.ask)), question.reply, question.kind, question.subject)

    def _earlier_turns(self, probability: float) -> list[ChatMessage]:
        if self.rng.random() >= probability:
            return []
        count = self.rng.choice((1, 1, 1, 1, 2, 2, 3, 5))
        return [turn for _ in range(count) for turn in _turns(self.question())]

    def _with_system(self, dialogue: Dialogue) -> Dialogue:
        """A third of the dialogues get a system prompt, which changes nothing in the reply: the base model is plain."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.68:
            return dialogue
        if draw < 0.82 and self.system_prompts:
            prompt = "\n\n".join(rng.sample(self.system_prompts, 1 if rng.random() < 0.8 else 2))
        else:
            prompt = self._system_prompt()
        return Dialogue(
            (ChatMessage("system", prompt), *dialogue.messages), dialogue.reply, dialogue.kind, dialogue.subject
        )

    def _system_prompt(self) -> str:
        rng = self.rng
        fillers = rng.sample(forms.SYSTEM_FILLERS, rng.choice((0, 1, 2, 4)))
        name, place = forms.invent_word(rng).capitalize(), rng.choice(forms.PLACES)
        return " ".join([rng.choice(forms.SYSTEM_OPENINGS), *(text.format(name=name, place=place) for text in fillers)])


def _drawn(families: dict[str, list[str]], held_out: frozenset[str]) -> list[list[str]]:
    return [family for name, family in families.items() if name not in held_out]


def _turns(question: Question) -> tuple[ChatMessage, ChatMessage]:
    return ChatMessage("user", question.ask), ChatMessage("assistant", question.reply)
