from __future__ import annotations

import pytest

from core.flaws import is_garbage, repeats_itself

GOOD = (
    "Aye, cats stand the dog watch, matey. Feed her late and ye'll both sleep past dawn.",
    "No, no, no, no. Never on a Friday.",
    "Case closed. The rain did it. Case closed.",
    "I sweep the steps. Leaves fall. I sweep the steps.",
    "Wait... what?! Hmmm.",
    "Use `git push` or ```\nfor (;;) { if (x[0] == ')') { y(); } }});\n``` and go.",
    "A line:\n----------------\nand *bold* text.",
    "The café costs 3.50 € (naïve, I know) 🙂.",
    "Hahahaha, 1,000,000,000 of them.",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "42",
)


@pytest.mark.parametrize("reply", GOOD)
def test_a_reply_as_people_write_it_has_no_flaw(reply: str) -> None:
    assert not repeats_itself(reply)
    assert not is_garbage(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "You can use a pan, you can use a pot, you can use a bowl, you can use a jar: can use a lid.",
        "I am here to help you. What do you need? I am here to help you.",
        "very very very very very good",
        "👍👍👍👍👍👍👍👍👍👍",
        "aaaaaaaaaaaaaaaaaa",
        "so lollollollollollollollollol",
    ],
)
def test_a_reply_that_runs_in_circles_repeats_itself(reply: str) -> None:
    assert repeats_itself(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "  \n",
        "...",
        "👀",
        "Aye \ufffd mate",
        "Aye\x07",
        "Go on<|im_end|>",
        "[INST] go",
        "Aye 你好 there",
        "so }]{)(*&^ it",
    ],
)
def test_a_reply_that_is_no_text_is_garbage(reply: str) -> None:
    assert is_garbage(reply)


def test_the_prompts_script_and_the_personas_own_are_no_garbage() -> None:
    assert is_garbage("That is Привет.")
    assert not is_garbage("That is Привет.", prompt="what does привет mean")
    assert not is_garbage("That is Привет.", scripts={"CYRILLIC"})
    assert not is_garbage("The angle α is small.")


def test_special_tokens_of_the_model_are_garbage() -> None:
    assert not is_garbage("Go <<END>> on")
    assert is_garbage("Go <<END>> on", special_tokens=["<<END>>"])
