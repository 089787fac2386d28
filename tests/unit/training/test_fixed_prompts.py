"""The prompt sets that every persona is measured with: enough of them, apart from each other and from the rows."""

from __future__ import annotations

from core.personas import load_personas
from core.settings import ROOT
from training.data_files import TrainingRow, read_rows
from training.eval_facts import is_answered
from training.fixed_prompts import read_facts, read_limits, read_prompts, read_thresholds
from training.resemblance import Text, is_near_duplicate, resembles

PERSONAS = load_personas(ROOT / "personas")


def asked(row: TrainingRow) -> Text:
    """All that the row's user and history say: the same follow-up to another question is another prompt."""
    return Text.of("\n".join([*(turn.content for turn in row.history), row.user_text]))


def test_there_are_enough_prompts_and_none_twice() -> None:
    everyday, identity, drop = map(read_prompts, ("everyday", "identity", "drop_the_act"))
    assert (len(everyday), len(drop)) == (100, 8)
    assert len(identity) >= 20
    for prompts in (everyday, identity, drop, [fact.question for fact in read_facts()]):
        assert len({prompt.lower() for prompt in prompts}) == len(prompts)


def test_no_question_holds_its_own_answer() -> None:
    assert [fact.question for fact in read_facts() if is_answered(fact, fact.question)] == []
    assert len(read_facts()) >= 150


def test_thresholds_and_limits_can_be_read() -> None:
    assert 0 < read_thresholds().false_alarms < 1
    full, short = read_limits("full"), read_limits("short")
    assert short.held_out < full.held_out
    assert short.max_new_tokens == full.max_new_tokens


def test_no_row_stands_in_both_splits_of_a_persona_not_even_in_disguise() -> None:
    found = []
    for persona in PERSONAS.values():
        trained = [(row.user_text, asked(row)) for row in read_rows(persona.train_path)]
        for row in read_rows(persona.eval_path):
            held_out = asked(row)
            found += [(persona.slug, row.user_text, text) for text, one in trained if is_near_duplicate(held_out, one)]
    assert found == []


def test_no_everyday_prompt_resembles_a_row_of_a_persona() -> None:
    everyday = [(prompt, Text.of(prompt)) for prompt in read_prompts("everyday")]
    found = []
    for persona in PERSONAS.values():
        for row in (*read_rows(persona.train_path), *read_rows(persona.eval_path)):
            instruction = Text.of(row.instruction)
            found += [
                (persona.slug, prompt, row.instruction) for prompt, one in everyday if resembles(one, instruction)
            ]
    assert found == []
