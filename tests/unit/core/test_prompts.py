from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.blends import parse_blend
from core.errors import InvalidInput
from core.messages import ChatMessage
from core.personas import load_personas
from core.prompts import build, compose, system_prompt
from core.settings import ROOT


def count_words(messages):
    return sum(len(message.content.split()) + 1 for message in messages)


def turns(*contents):
    return tuple(ChatMessage("assistant" if i % 2 else "user", content) for i, content in enumerate(contents))


def test_a_short_conversation_stays_whole_behind_the_system_prompt():
    prompt = build("be kind", turns("a", "b", "c"), budget_tokens=100, count_tokens=count_words)
    assert prompt.messages == (ChatMessage("system", "be kind"), *turns("a", "b", "c"))
    assert prompt.dropped == 0


def test_the_oldest_turns_go_first_and_what_stays_begins_with_the_user():
    prompt = build("s", turns("one", "two", "three", "four", "five"), budget_tokens=8, count_tokens=count_words)
    assert [message.content for message in prompt.messages] == ["s", "three", "four", "five"]
    assert prompt.dropped == 2


def test_system_messages_of_a_client_join_the_persona_s_own():
    conversation = (ChatMessage("system", "Answer in French."), *turns("hi"))
    assert compose("You are Ada.", conversation)[0].content == "You are Ada.\n\nAnswer in French."
    assert compose("", turns("hi")) == turns("hi")


def test_a_message_that_cannot_fit_is_refused_with_both_numbers():
    with pytest.raises(InvalidInput, match=r"12 tokens .* room for 5"):
        build("s", turns("w " * 9), budget_tokens=5, count_tokens=count_words)


@pytest.mark.parametrize("conversation", [(), turns("a", "b"), (ChatMessage("system", "only this"),)])
def test_a_conversation_that_does_not_end_with_the_user_is_refused(conversation):
    with pytest.raises(InvalidInput, match="must end with a user message"):
        build("s", conversation, budget_tokens=100, count_tokens=count_words)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=15).filter(lambda sizes: len(sizes) % 2), st.integers(2, 150))
def test_as_many_turns_as_fit_are_kept_and_never_more(sizes, budget):
    conversation = turns(*("w " * size for size in sizes))
    fitting = [i for i in range(0, len(sizes), 2) if count_words(conversation[i:]) <= budget]
    if not fitting:
        with pytest.raises(InvalidInput):
            build("", conversation, budget_tokens=budget, count_tokens=count_words)
    else:
        prompt = build("", conversation, budget_tokens=budget, count_tokens=count_words)
        assert prompt.messages == conversation[fitting[0] :]
        assert prompt.dropped == fitting[0]


def test_a_blend_speaks_with_the_heaviest_persona_s_prompt_first():
    personas = load_personas(ROOT / "personas")
    text = system_prompt(personas, parse_blend("zen:0.3+codebeard:0.7"))
    assert text.startswith(personas["codebeard"].system_prompt) and text.endswith(personas["zen"].system_prompt)
    assert system_prompt(personas, parse_blend("base")) == ""


def test_turns_that_cannot_fit_are_cut_before_anything_is_counted():
    counted = []

    def count(messages):
        counted.append(sum(len(message.content) for message in messages))
        return count_words(messages)

    conversation = turns(*["word " * 20] * 20_001)
    prompt = build("s", conversation, budget_tokens=500, count_tokens=count)
    assert max(counted) <= 500 * 16 + 1
    assert count_words(prompt.messages) <= 500
    assert len(prompt.messages) + prompt.dropped == 20_001 + 1
    build("", turns(*["a"] * 20_001), budget_tokens=500, count_tokens=count)
    assert max(counted) <= 500 * 16 + 1


def test_a_last_message_of_any_length_is_counted_whole_and_refused_by_its_tokens():
    with pytest.raises(InvalidInput, match="100001 tokens"):
        build("", turns("a", "b", "w " * 100_000), budget_tokens=500, count_tokens=count_words)


def test_a_system_message_anywhere_and_two_turns_of_one_role_are_arranged_and_nothing_is_lost():
    conversation = (*turns("a"), ChatMessage("user", "b"), ChatMessage("system", "late"))
    prompt = build("s", conversation, budget_tokens=100, count_tokens=count_words)
    assert prompt.messages == (ChatMessage("system", "s\n\nlate"), ChatMessage("user", "a\n\nb"))


def test_a_greeting_stays_while_everything_fits_and_is_counted_when_it_does_not():
    conversation = (ChatMessage("assistant", "ahoy you all"), *turns("one", "two", "three"))
    whole = build("", conversation, budget_tokens=100, count_tokens=count_words)
    cut = build("", conversation, budget_tokens=7, count_tokens=count_words)
    assert (whole.messages, whole.dropped) == (conversation, 0)
    assert (cut.messages, cut.dropped) == (conversation[1:], 1)


def test_a_turn_without_words_is_left_out():
    conversation = (*turns("a", "  "), ChatMessage("user", "b"))
    assert build("", conversation, budget_tokens=100, count_tokens=count_words).messages == (
        ChatMessage("user", "a\n\nb"),
    )


def test_former_replies_come_without_their_thoughts():
    said = turns("hi", "<think>a plan</think>\n\nAhoy!", "<think>mine</think> again")
    assert [turn.content for turn in compose("", said)] == ["hi", "Ahoy!", "<think>mine</think> again"]
