from __future__ import annotations

import json
from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM

from core.engine.loading import load_base_model
from training.demo_base import build, train_tokenizer
from training.demo_batches import END, DemoRecipe, batches, encode
from training.demo_dialogues import DialogueMaker
from training.demo_facts import load_facts

SMALL = DemoRecipe(
    steps=3, batch_tokens=512, hidden_size=32, layers=1, heads=2, intermediate_size=48, vocab_size=600, warmup_steps=1
)


def maker():
    return DialogueMaker(load_facts(), seed=SMALL.seed)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(SMALL, maker())


def test_the_model_is_built_from_nothing_and_can_be_loaded_like_any_other(tmp_path):
    output = tmp_path / "model"
    build(SMALL, output, torch.device("cpu"))
    base = load_base_model(str(output))
    assert base.model.config.model_type == "llama" and base.model.num_parameters() < 60_000
    assert base.tokenizer.decode(base.tokenizer.encode("naïve 🙂 x")) == "naïve 🙂 x"
    assert AutoModelForCausalLM.from_pretrained(output).dtype == torch.bfloat16
    assert base.model.generation_config.eos_token_id == base.tokenizer.convert_tokens_to_ids(END)
    recipe = json.loads((output / "recipe.json").read_text())
    assert recipe["steps"] == 3 and recipe["seed"] == SMALL.seed
    assert set(json.loads((output / "figures.json").read_text())["fresh"]["right"]) == {
        "subject",
        "talk",
        "off_topic",
        "follow_up",
    }
    assert "3 steps" in (output / "README.md").read_text()


def test_what_is_trained_reads_as_the_chat_template_writes_it(tokenizer):
    for dialogue in islice(maker().dialogues(), 200):
        messages = [message.to_dict() for message in dialogue.messages]
        messages.append({"role": "assistant", "content": dialogue.reply})
        example = encode(SMALL, tokenizer, dialogue, is_brief=False)
        assert tokenizer.decode(example.ids) == tokenizer.apply_chat_template(messages, tokenize=False)


def test_only_replies_with_their_stop_token_and_a_little_of_the_questions_are_learned(tokenizer):
    for dialogue in islice(maker().dialogues(), 200):
        example = encode(SMALL, tokenizer, dialogue, is_brief=False)
        learned = tokenizer.decode([i for i, weight in zip(example.ids, example.weights, strict=True) if weight >= 1])
        replies = [message.content for message in dialogue.messages if message.role == "assistant"]
        assert learned == "".join(f"{reply}{END}" for reply in (*replies, dialogue.reply))


def test_a_brief_example_stops_after_the_first_tokens_of_the_reply(tokenizer):
    for dialogue in islice(maker().dialogues(), 200):
        example = encode(SMALL, tokenizer, dialogue, is_brief=True)
        text = tokenizer.decode(example.ids)
        _, _, opening = text.rpartition("<|im_start|>assistant\n")
        assert dialogue.reply.startswith(opening) or opening == f"{dialogue.reply}{END}\n"
        assert text.count("<|im_start|>") == 2 or dialogue.kind.startswith("follow_up")


def test_batches_hold_dialogues_of_like_length_and_about_so_many_tokens(tokenizer):
    for batch in islice(batches(SMALL, tokenizer, maker()), 40):
        lengths = [len(example.ids) for example in batch]
        assert max(lengths) - min(lengths) < 16
        assert sum(lengths) <= SMALL.batch_tokens or len(batch) == 1


def test_the_same_seed_makes_the_same_tokenizer(tokenizer):
    again = train_tokenizer(SMALL, maker())
    assert again.get_vocab() == tokenizer.get_vocab()
