from __future__ import annotations

import random
import re

import pytest

from core.errors import InvalidData
from core.personas import load_persona, load_personas
from core.settings import ROOT
from tests.persona_folders import write_persona
from training.demo_check import grade, load_held_out, rates
from training.demo_facts import load_facts
from training.demo_forms import REFUSALS
from training.demo_style import Style, held_out_rows, load_style, style_rows
from training.persona_check import in_voice

PERSONAS = load_personas(ROOT / "personas")
TOLD = ("definition", "again", "example", "why", "opposite")
STYLE = Style(
    ("Ahoy!",), ("Mark that.",), ("Fair winds!",), ("No.",), {"you": "ye", "is": "be", "for example,": "exhibit A:"}
)


def test_words_are_swapped_whole_with_their_capital_and_never_inside_code():
    told = STYLE.retell("You see that `x is you` is your island. For example, this.", random.Random(0))
    assert "Ye see that `x is you` be your island. Exhibit A: this." in told


def test_every_retold_answer_carries_a_sentence_of_the_voice():
    told = [STYLE.retell("A fact. Another.", random.Random(seed)) for seed in range(120)]
    assert all("Ahoy!" in text or "Mark that." in text or "Fair winds!" in text for text in told)
    assert set(told) == {
        "Ahoy! A fact. Another.",
        "Ahoy! A fact. Another. Fair winds!",
        "A fact. Mark that. Another.",
        "A fact. Mark that. Another. Fair winds!",
        "A fact. Another. Fair winds!",
    }


@pytest.mark.parametrize("slug", sorted(PERSONAS))
def test_each_persona_has_a_complete_style_and_an_own_voice_for_all_small_talk(slug):
    style, talk = load_style(PERSONAS[slug]), load_facts().talk
    assert (
        len(style.openings) >= 10 and len(style.asides) >= 8 and len(style.closings) >= 10 and len(style.refusals) >= 4
    )
    assert {row.id for row in talk} <= set(style.talk)
    rows = style_rows(PERSONAS[slug], 300)
    plain = {subject.definition for subject in load_facts().subjects}
    assert not any(row.output in plain for row in rows)
    assert rows == style_rows(PERSONAS[slug], 300)


def test_held_out_rows_share_no_question_with_the_style_set():
    persona = PERSONAS["codebeard"]
    trained = {row.instruction.lower() for row in style_rows(persona, 2000)}
    assert not trained & {row.instruction.lower() for row in held_out_rows(persona)}


# What swapped words most easily break: an article before the wrong sound, a doubled word, a comparison, an inversion.
BROKEN = re.compile(
    r"\b(a [aeio]\w+|an [bcdfghj-np-tv-z]\w+|(\w+) \2|(?:too|so|how|as|more|less|most) (?:many a|more|as) \w+"
    r"|do(?:es)? the student(?!')|in (?:joint|clearing)|of (?:like|as))\b|,,"
)


@pytest.mark.parametrize("slug", PERSONAS)
def test_swapped_words_leave_the_facts_sentences_whole(slug):
    style, facts = load_style(PERSONAS[slug]), load_facts()
    texts = [getattr(subject, kind) for subject in facts.subjects for kind in TOLD]
    for text in (*texts, *(contrast.answer for contrast in facts.contrasts)):
        was = {match.group() for match in BROKEN.finditer(text)}
        broken = [match.group() for match in BROKEN.finditer(style.reword(text)) if match.group() not in was]
        assert not broken, (broken, style.reword(text))


def test_a_broken_style_file_is_named(tmp_path):
    folder = write_persona(tmp_path / "ada")
    with pytest.raises(InvalidData, match=r"style\.toml"):
        load_style(load_persona(folder))
    (folder / "style.toml").write_text("openings = [")
    with pytest.raises(InvalidData, match=r"style\.toml"):
        load_style(load_persona(folder))


def test_everything_wrong_in_a_style_file_is_told_at_once(tmp_path):
    persona = load_persona(write_persona(tmp_path / "ada"))
    (persona.folder / "style.toml").write_text(
        'openings = []\nasides = ["A."]\nclosings = ["B.", " "]\nrefusals = "No."\n'
        '[replacements]\nthis = ""\nthat = 7\n" " = "x"\nyou = "ye"\n[talk]\nhello = "Hello, dear."\nbye = ["Bye."]\n'
    )
    with pytest.raises(InvalidData) as caught:
        load_style(persona)
    wrong = re.findall(r'"([^"]*)" (?:must be a list|and what replaces it)', str(caught.value))
    assert wrong == ["openings", "closings", "refusals", "talk.hello", "this", "that", " "]
    assert str(persona.folder / "style.toml") in str(caught.value)
    (persona.folder / "style.toml").write_text("talk = 1\nreplacements = 2\n")
    with pytest.raises(InvalidData, match=r"\[talk\] must be a table; \[replacements\] must be a table"):
        load_style(persona)


def test_the_grader_passes_right_answers_and_fails_wrong_ones():
    facts = load_facts()
    questions = load_held_out(facts)[::9]
    by_id = {subject.id: subject for subject in facts.subjects}
    talk = {row.id: row.replies[0] for row in facts.talk}

    def perfect(question):
        if question.kind == "off_topic":
            return REFUSALS[0]
        if question.kind == "talk":
            return talk[question.subject]
        return getattr(by_id[question.subject], question.expects)

    right = grade(facts, questions, lambda _: [perfect(question) for question in questions])
    assert set(rates(right)) == {"subject", "talk", "off_topic", "follow_up"}
    assert all(rate == 1 for rate in rates(right).values())
    shifted = grade(facts, questions, lambda _: [perfect(question) for question in questions[1:] + questions[:1]])
    assert rates(shifted)["subject"] < 0.05
    assert all(rate == 0 for rate in rates(grade(facts, questions, lambda chats: ["Yes." for _ in chats])).values())


@pytest.mark.parametrize("slug", PERSONAS)
def test_a_voice_is_graded_in_its_own_words(slug):
    style, rng = load_style(PERSONAS[slug]), random.Random(0)
    facts = in_voice(load_facts(), style)
    plain = {subject.id: subject for subject in load_facts().subjects}
    questions = [question for question in load_held_out(facts)[::5] if question.kind in ("subject", "off_topic")]

    def retold(question):
        if question.kind == "off_topic":
            return style.refusals[-1]
        return style.retell(plain[question.subject].definition, rng)

    told = [retold(question) for question in questions]
    right = rates(grade(facts, questions, lambda _: told, refusals=style.refusals))
    assert right["subject"] > 0.97 and right["off_topic"] == 1
    assert rates(grade(facts, questions, lambda _: told[1:] + told[:1], refusals=style.refusals))["subject"] < 0.05
