from __future__ import annotations

import random
import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import demo_forms as forms
from training.demo_dialogues import DialogueMaker
from training.demo_facts import load_facts, normalise

FACTS = load_facts()


def some_dialogues(count=1500, **options):
    return list(islice(DialogueMaker(FACTS, seed=3, **options).dialogues(), count))


def test_there_is_a_record_for_every_subject_and_each_text_names_it_or_stands_alone():
    assert len(FACTS.subjects) == 198
    for subject in FACTS.subjects:
        assert len(subject.names) >= 3 and len(subject.asks) >= 8
        texts = (subject.definition, subject.again, subject.example, subject.why, subject.opposite)
        assert all(text.strip() and text[-1] in '.!?`")' for text in texts), subject.id


def test_no_two_subjects_share_a_name():
    owners: dict[str, str] = {}
    for subject in FACTS.subjects:
        for name in subject.names:
            assert owners.setdefault(forms.fill("{bare}", name).lower(), subject.id) == subject.id


def test_no_held_out_wording_is_ever_a_question_that_is_trained_on():
    asked = [dialogue.messages[-1].content for dialogue in some_dialogues(6000)]
    subject_kinds = {normalise(ask) for ask in asked}
    talk = {normalise(ask) for talk in FACTS.talk for ask in talk.asks}
    assert not (subject_kinds & FACTS.held_out) - talk
    assert not talk & FACTS.held_out


def test_a_held_out_family_of_forms_is_never_drawn():
    def asked(held_out):
        maker = DialogueMaker(FACTS, seed=3, held_out_families=held_out)
        return {maker._ask(maker._definition_forms, "a zebra").lower() for _ in range(3000)}

    assert any("what do people mean by a zebra" in ask for ask in asked(frozenset()))
    assert not any("what do people mean by a zebra" in ask for ask in asked(frozenset({"mean"})))


def test_the_same_seed_gives_the_same_dialogues_and_another_seed_others():
    first, again = (list(islice(DialogueMaker(FACTS, seed=1).dialogues(), 50)) for _ in range(2))
    assert first == again
    assert first != list(islice(DialogueMaker(FACTS, seed=2).dialogues(), 50))


def test_every_dialogue_ends_with_the_user_and_alternates():
    for dialogue in some_dialogues():
        roles = [message.role for message in dialogue.messages if message.role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert dialogue.reply


def test_follow_ups_need_the_turn_before():
    follow_ups = [dialogue for dialogue in some_dialogues() if dialogue.kind.startswith("follow_up")]
    assert {dialogue.kind for dialogue in follow_ups} == {f"follow_up_{kind}" for kind in forms.FOLLOW_UPS}
    assert all(len([m for m in d.messages if m.role == "user"]) >= 2 for d in follow_ups)


@pytest.mark.parametrize("name", ["a mutex", "the GIL", "recursion", "O(n)"])
def test_every_form_can_be_filled_and_leaves_no_slot(name):
    families = (forms.DEFINITION_FORMS, forms.WHY_FORMS, forms.EXAMPLE_FORMS, forms.OPPOSITE_FORMS)
    for family in families:
        for form in (form for group in family.values() for form in group):
            filled = forms.fill(form, name)
            assert "{" not in filled
            assert re.sub(r"^(a|the) ", "", name) in filled


@given(st.integers(), st.text(alphabet="abcdefghij '", min_size=1, max_size=30))
def test_a_slip_of_the_finger_changes_at_most_a_little(seed, word):
    slipped = forms.misspell(random.Random(seed), word)
    assert abs(len(slipped) - len(word)) <= 1
    if sum(char.isalpha() for char in word) < 4:
        assert slipped == word


@given(st.integers())
def test_dressing_a_question_keeps_it_readable(seed):
    dressed = forms.dress(random.Random(seed), "what is a mutex")
    assert dressed and len(dressed) < 120


def test_no_question_writes_out_a_special_token_as_serving_spells_it_apart():
    facts = load_facts()
    asks = [ask for group in (facts.subjects, facts.talk, facts.contrasts) for record in group for ask in record.asks]
    assert not [ask for ask in (*asks, *facts.off_topic) if re.search(r"<\|\w+\|>", ask)]
