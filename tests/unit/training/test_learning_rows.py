from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.engine.chat_template import ChatTemplate
from core.messages import ChatMessage
from core.prompts import build
from tests.examples.feedback import corrected, feedback_set, judged, preferred
from tests.examples.training import PIRATE_WORDS, make_persona
from tests.models.tiny_models import make_tokenizer
from training.dataset_builder import Example
from training.feedback_set import JudgedReply
from training.fixed_prompts import read_facts, read_prompts
from training.learning_rows import (
    FeedbackReader,
    Judged,
    LearningRows,
    feedback_hash,
    judged_order,
    label_weights,
    with_company,
)
from training.recipes import LearningRecipe
from training.resemblance import Text, is_near_duplicate

RECIPE = LearningRecipe(batch_size=4, replay_share=0.3, contrast_share=0.1)


class _Settings:
    base_slug = "tiny"


def _examples(name: str, count: int) -> list[Example]:
    return [Example((ChatMessage("user", f"{name} {at}?"),), f"{name} {at}.") for at in range(count)]


def _rows(ups: int, downs: int) -> list[Judged]:
    wanted = [Judged(one, True) for one in _examples("up", ups)]
    return wanted + [Judged(one, False) for one in _examples("down", downs)]


def _read(tmp_path: Path, rows: list[JudgedReply], max_length: int = 300) -> tuple[LearningRows, ChatTemplate, str]:
    persona = make_persona(tmp_path, "pirate", PIRATE_WORDS)
    template = ChatTemplate(make_tokenizer())
    feedback = feedback_set(persona, _Settings(), judged=rows)  # type: ignore[arg-type]
    return FeedbackReader(persona, template, max_length=max_length).read(feedback), template, persona.system_prompt


def test_a_prompt_is_the_one_that_serving_builds(tmp_path: Path) -> None:
    turns = (
        {"role": "user", "content": "Ahoy."},
        {"role": "user", "content": "Still there?"},
        {"role": "assistant", "content": "<think>hm</think>Aye."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Good."},
    )
    rows, template, system = _read(tmp_path, [JudgedReply("a", turns, "Good indeed. ", True, 1.0)])
    conversation = [ChatMessage(turn["role"], turn["content"]) for turn in turns]  # type: ignore[arg-type]
    served = build(system, conversation, budget_tokens=4096, count_tokens=template.count_tokens)
    assert rows.judged[0].example == Example(served.messages, "Good indeed.")


def test_a_long_conversation_loses_its_oldest_turns_and_keeps_its_whole_reply(tmp_path: Path) -> None:
    said = [(role, f"{role} says number {at} of many") for at in range(6) for role in ("user", "assistant")]
    turns = tuple({"role": role, "content": text} for role, text in [*said, ("user", "And the last?")])
    rows, template, _ = _read(tmp_path, [JudgedReply("a", turns, "The last.", True, 1.0)], max_length=160)
    (one,) = rows.judged
    assert one.example.prompt[0].role == "system"
    assert one.example.prompt[-1].content == "And the last?"
    assert len(one.example.prompt) < len(turns)
    assert len(template.encode_text(template.render(one.example.prompt, reply=one.example.reply))) <= 160


def test_what_cannot_be_trained_on_is_counted_by_reason(tmp_path: Path) -> None:
    ask = ({"role": "user", "content": "Hm?"},)
    replies = ("Fine.", "   ", "Ends <|IM_END|> here", "word " * 300)
    rows, _, _ = _read(tmp_path, [JudgedReply(str(at), ask, text, True, 1.0) for at, text in enumerate(replies)])
    assert [one.example.reply for one in rows.judged] == ["Fine."]
    assert rows.left_out == {"empty": 1, "too long": 1, "writes out a special token": 1}


@pytest.mark.parametrize(("ups", "downs"), [(8, 8), (12, 4), (4, 12)])
def test_each_batch_holds_both_labels(ups: int, downs: int) -> None:
    order = judged_order(_rows(ups, downs), [], RECIPE)
    assert sorted(order, key=repr) == sorted(_rows(ups, downs), key=repr)
    for start in range(0, len(order), RECIPE.batch_size):
        assert {row.label for row in order[start : start + RECIPE.batch_size]} == {True, False}


def test_the_last_batch_is_filled_with_rows_of_the_persona() -> None:
    order = judged_order(_rows(5, 4), _examples("r", 20), RECIPE)
    assert len(order) == 12
    assert sum(row.source == "replay" for row in order) == 3


def test_corrections_and_own_rows_are_wanted_and_the_bases_answers_are_not() -> None:
    rows = LearningRows(tuple(_examples("c", 2)), (), tuple(_rows(6, 6)))
    company = with_company(rows, _examples("r", 50), _examples("k", 50), RECIPE)
    found = [(row.source, row.label) for row in company]
    assert found.count(("feedback", True)) == found.count(("feedback", False)) == 6
    assert found.count(("correction", True)) == 2
    assert found.count(("replay", True)) == 6  # 30 % of 20
    assert found.count(("contrast", False)) == 2


@pytest.mark.parametrize(("ups", "downs"), [(1, 1), (10, 10), (4, 3), (30, 10), (10, 30), (15, 10)])
def test_the_weights_of_the_labels_keep_to_the_bounds_of_the_paper(ups: int, downs: int) -> None:
    desirable, undesirable = label_weights(_rows(ups, downs), 4.0)
    assert 1 - 1e-9 <= desirable * ups / (undesirable * downs) <= 4 / 3 + 1e-9
    assert min(desirable, undesirable) == 1.0


def test_a_rare_label_does_not_decide_everything() -> None:
    assert label_weights(_rows(300, 3), 4.0) == (1.0, 4.0)
    assert label_weights(_rows(3, 300), 4.0) == (4.0, 1.0)
    assert label_weights(_rows(3, 0), 4.0) == (1.0, 1.0)


def test_the_hash_is_of_what_is_learned_and_of_its_order(tmp_path: Path) -> None:
    persona = make_persona(tmp_path, "pirate", PIRATE_WORDS)
    rows = feedback_set(persona, _Settings(), judged=judged(4), preferred=preferred(2), corrected=corrected(2))  # type: ignore[arg-type]
    assert feedback_hash(rows) == feedback_hash(replace(rows, manifest={"other": 1}))
    assert feedback_hash(rows) != feedback_hash(replace(rows, judged=rows.judged[::-1]))
    assert feedback_hash(rows) != feedback_hash(replace(rows, judged=(replace(rows.judged[0], weight=0.5),)))


def test_no_question_that_the_anchor_answers_is_one_that_a_measurement_asks() -> None:
    asked = [fact.question for fact in read_facts()]
    asked += [text for name in ("everyday", "identity", "drop_the_act") for text in read_prompts(name)]
    texts = [Text.of(text) for text in asked]
    general = read_prompts("general")
    assert len(set(general)) == len(general)
    assert [text for text in general if any(is_near_duplicate(Text.of(text), other) for other in texts)] == []
