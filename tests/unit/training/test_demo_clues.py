from __future__ import annotations

import random
import re

from training import demo_forms as forms
from training.demo_clues import ClueMaker
from training.demo_dialogues import DialogueMaker
from training.demo_facts import load_facts

FACTS = load_facts()
SUBJECTS = {subject.id: subject for subject in FACTS.subjects}


def words(text):
    return set(re.findall(r"[\w'+#/-]+", text.lower()))


def test_a_clue_is_cut_from_the_subject_s_own_text_and_does_not_name_it():
    clues, rng = ClueMaker(FACTS.subjects), random.Random(1)
    form_words = set().union(*map(words, forms.REVERSE_FORMS))
    seen = 0
    for subject in FACTS.subjects:
        ask = clues.question(rng, subject)
        if ask in subject.asks:
            continue
        seen += 1
        told = words(f"{subject.definition} {subject.again} {subject.why}")
        names = set().union(*map(words, subject.names))
        assert words(ask) <= told | form_words, ask
        assert not (words(ask) - form_words) & names, ask
    assert seen > 150


def test_a_crossed_form_keeps_one_slot_between_the_halves_of_two_forms():
    families = list(forms.DEFINITION_FORMS.values())
    known = {form for family in families for form in family}
    rng = random.Random(2)
    crossed = [forms.cross(rng, families) for _ in range(800)]
    assert all(len(re.findall(r"\{(?:np|bare)\}", form)) >= 1 for form in crossed)
    assert len(set(crossed) - known) > 200


def test_what_is_off_topic_stays_off_topic_when_it_is_spliced():
    maker = DialogueMaker(FACTS, seed=4)
    vocabulary = set().union(*map(words, FACTS.off_topic))
    for ask in FACTS.off_topic[:200]:
        assert words(maker._spliced(ask)) <= vocabulary
