"""Questions that describe a subject without naming it, cut from what the model says of it. Knows no model."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable

from training import demo_forms as forms
from training.demo_facts import Subject

COMMON = 12  # a word that so many subjects use tells nothing about any of them
MIN_TELLING = 2


class ClueMaker:
    """Turns a subject's own sentences into "what do you call it when ..." questions."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._sentences = {subject.id: _sentences(subject) for subject in subjects}
        users = Counter(word for sentences in self._sentences.values() for word in {w for s in sentences for w in s})
        self._common = {word for word, count in users.items() if count > COMMON}

    def question(self, rng: random.Random, subject: Subject) -> str:
        """A wording with a clue of up to eleven words; if no span tells enough, one of the subject's own questions."""
        names = {word for name in subject.names for word in _words(name)}
        for _ in range(8):
            sentence = rng.choice(self._sentences[subject.id])
            length = rng.randint(4, 11)
            start = rng.randrange(max(1, len(sentence) - length + 1))
            clue = [word for word in sentence[start : start + length] if word not in names]
            if rng.random() < 0.3 and len(clue) > 4:
                clue.pop(rng.randrange(len(clue)))
            if len(set(clue) - self._common) >= MIN_TELLING:
                return rng.choice(forms.REVERSE_FORMS).format(clue=" ".join(clue))
        return rng.choice(subject.asks)


def _sentences(subject: Subject) -> list[list[str]]:
    text = " ".join((subject.definition, subject.definition, subject.again, subject.why))
    return [words for sentence in re.split(r"[.;:]\s", text) if len(words := _words(sentence)) >= 4]


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'+#/-]+", text.lower())
