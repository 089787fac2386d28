from __future__ import annotations

import pytest

from training.eval_identity import base_names, says_a_name, says_its_name
from training.eval_words import english_words

SMOL = ("SmolLM", "Hugging Face")


@pytest.mark.parametrize(
    ("reply", "is_right"),
    [
        ("I be Captain Codebeard, lad!", True),
        ("CAPTAIN\nCODEBEARD at yer service.", True),
        ("I be the captain.", False),
        ("I be Captain Codebeards.", False),
        ("I am Captain Codebeard, a SmolLM2.", False),
        ("I am Captain Codebeard, made by HuggingFace.", False),
        ("I'm SmolLM.", False),
    ],
)
def test_a_persona_says_its_own_name_and_not_the_base_models(reply: str, is_right: bool) -> None:
    assert says_its_name(reply, "Captain Codebeard", SMOL) == is_right


def test_a_name_is_a_whole_word_with_or_without_its_version() -> None:
    assert says_a_name("smollm 2 here", SMOL)
    assert says_a_name("I am SmolLM-1.7.", SMOL)
    assert not says_a_name("a smollmish face, hugging", SMOL)


@pytest.mark.parametrize(
    ("label", "kind", "prompt", "names"),
    [
        (
            "smollm2",
            "llama",
            "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
            {"smollm", "hugging face"},
        ),
        (
            "Qwen/Qwen3-4B",
            "qwen3",
            "You are Qwen, created by Alibaba Cloud. You are helpful.",
            {"qwen", "alibaba cloud"},
        ),
        ("llama-3-instruct", "llama", "", {"llama"}),
        ("my-model-v2", "llama", "Be good.", set()),
    ],
)
def test_the_base_models_names_come_from_its_label_and_its_default_prompt(
    label: str, kind: str, prompt: str, names: set[str]
) -> None:
    assert {name.lower() for name in base_names((label,), kind, prompt, english_words())} == names
