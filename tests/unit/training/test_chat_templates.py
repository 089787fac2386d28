"""Golden texts for the templates of five model families: what is served, what is trained, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from core.engine.chat_template import ChatTemplate
from core.errors import InvalidInput
from core.messages import ChatMessage
from core.prompts import compose
from tests.examples.training import REPLY, SYSTEM, TEMPLATES, USER, TemplateCase, make_model_with_template
from tests.models.tiny_models import make_tokenizer
from training.data_files import TrainingRow
from training.dataset_builder import Example, example_of, to_columns
from training.label_check import IGNORED_LABEL, WrongLabels, check_labels, stop_token_ids

MESSAGES = compose(SYSTEM, [ChatMessage("user", USER)])
HISTORY = (ChatMessage("user", "Hi."), ChatMessage("assistant", "Ahoy."))


class _Case:
    """A tiny model with one family's template, and TRL's own batch of two rows, one of them a follow-up."""

    def __init__(self, case: TemplateCase, folder: Path) -> None:
        make_model_with_template(case, folder)
        self.golden = case
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.template = ChatTemplate(self.tokenizer)
        rows = [TrainingRow(USER, f"{REPLY}\n"), TrainingRow(USER, REPLY, "A ship.", HISTORY)]
        self.examples = [example_of(row, SYSTEM) for row in rows]
        model = AutoModelForCausalLM.from_pretrained(folder)
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(folder / "run"), report_to=[], use_cpu=True, bf16=False, activation_checkpointing=False
            ),
            train_dataset=Dataset.from_dict(to_columns(self.examples, self.template)),
            processing_class=self.tokenizer,
        )
        self.batch: dict[str, Any] = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
        self.stop_ids = stop_token_ids(model, self.tokenizer)

    def check(
        self,
        *,
        labels: torch.Tensor | None = None,
        examples: list[Example] | None = None,
        stop_ids: frozenset[int] | None = None,
    ) -> None:
        batch = self.batch if labels is None else {**self.batch, "labels": labels}
        check_labels(batch, examples or self.examples, self.template, self.tokenizer, stop_ids or self.stop_ids)


@pytest.fixture(scope="module", params=TEMPLATES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Case:
    return _Case(TEMPLATES[request.param], tmp_path_factory.mktemp("templates") / request.param)


def test_the_prompt_is_what_the_family_expects(case: _Case) -> None:
    assert case.template.render(MESSAGES) == case.golden.prompt
    assert case.template.has_system_role == case.golden.has_system_role


def test_the_system_prompt_reaches_every_family(case: _Case) -> None:
    assert SYSTEM in case.template.render(MESSAGES)


def test_the_encoded_prompt_reads_back_as_the_rendered_one(case: _Case) -> None:
    assert case.tokenizer.decode(case.template.encode(MESSAGES)) == case.golden.prompt
    assert case.template.count_tokens(MESSAGES) == len(case.template.encode(MESSAGES))


def test_trl_trains_exactly_the_reply_and_its_stop_token(case: _Case) -> None:
    for ids, labels in zip(case.batch["input_ids"], case.batch["labels"], strict=True):
        assert case.tokenizer.decode(ids[labels != IGNORED_LABEL]) == case.golden.trained


def test_trl_trains_on_the_prompt_that_is_served(case: _Case) -> None:
    labels = case.batch["labels"][0].tolist()
    start = next(position for position, label in enumerate(labels) if label != IGNORED_LABEL)
    assert case.batch["input_ids"][0, :start].tolist() == case.template.encode(MESSAGES)


def test_the_check_lets_the_right_labels_pass(case: _Case) -> None:
    case.check()


def test_training_the_prompt_too_is_caught(case: _Case) -> None:
    labels = case.batch["input_ids"].clone()
    with pytest.raises(WrongLabels, match="would be trained on the prompt ''"):
        case.check(labels=labels)


def test_a_reply_without_its_stop_token_is_caught(case: _Case) -> None:
    labels = case.batch["labels"].clone()
    for row in labels:
        last = (row != IGNORED_LABEL).nonzero()[-1]
        row[last] = IGNORED_LABEL
    with pytest.raises(WrongLabels, match="The trained text is"):
        case.check(labels=labels)


def test_a_reply_with_a_hole_is_caught(case: _Case) -> None:
    labels = case.batch["labels"].clone()
    labels[0, (labels[0] != IGNORED_LABEL).nonzero()[3]] = IGNORED_LABEL
    with pytest.raises(WrongLabels, match="not one piece"):
        case.check(labels=labels)


def test_a_batch_that_trains_nothing_is_caught(case: _Case) -> None:
    labels = case.batch["labels"].clone().fill_(IGNORED_LABEL)
    with pytest.raises(WrongLabels, match="No token of this reply"):
        case.check(labels=labels)


def test_another_prompt_than_the_served_one_is_caught(case: _Case) -> None:
    others = [Example((ChatMessage("user", "Something else."),), example.reply) for example in case.examples]
    with pytest.raises(WrongLabels, match="but is served"):
        case.check(examples=others)


def test_a_template_whose_end_is_no_stop_token_of_the_model_is_caught(case: _Case) -> None:
    with pytest.raises(WrongLabels, match="which is no stop token of this model"):
        case.check(stop_ids=frozenset({99_999}))


def test_a_template_that_drops_the_system_message_in_silence_still_gets_the_system_text() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n"
        "{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    )
    template = ChatTemplate(tokenizer)
    assert not template.has_system_role
    assert SYSTEM in template.render(MESSAGES)


def test_a_conversation_that_begins_with_the_assistant_keeps_its_system_text() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = TEMPLATES["gemma"].template
    turns = ChatTemplate(tokenizer).fit(
        compose(SYSTEM, [ChatMessage("assistant", "Ahoy."), ChatMessage("user", "Hi.")])
    )
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"] == SYSTEM


def test_roles_that_a_template_refuses_are_one_sentence_for_the_user(case: _Case) -> None:
    turns = [ChatMessage("user", "One."), ChatMessage("user", "Two.")]
    if case.golden.stop_token != "</s>":
        assert "Two." in case.template.render(turns)
        return
    with pytest.raises(InvalidInput, match="refuses this conversation: Conversation roles must alternate"):
        case.template.render(turns)


@pytest.mark.parametrize("family", TEMPLATES)
@pytest.mark.parametrize("system", [SYSTEM, ""])
def test_a_character_s_greeting_reaches_every_model(family: str, system: str) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = TEMPLATES[family].template
    greeted = compose(system, [ChatMessage("assistant", "Ahoy, I am Ada."), ChatMessage("user", "Hi.")])
    text = ChatTemplate(tokenizer).render(greeted)
    assert "Ahoy, I am Ada." in text
    assert text.index("Ahoy, I am Ada.") < text.index("Hi.")
    assert system in text
