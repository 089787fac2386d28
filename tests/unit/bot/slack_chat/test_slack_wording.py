"""What is the model's own in a message of ours on Slack."""

from __future__ import annotations

import pytest

from bot.slack_chat.wording import own_words

NOTED = "**Zen**\nBreathe.\n(stopped)\n_Older messages were left out._"


def test_header_and_notes_are_ours():
    assert own_words(NOTED) == "Breathe."


@pytest.mark.parametrize("words", ["Say it:\n_slowly_", "**First**\nbreathe"])
def test_what_looks_like_ours_is_the_models_where_none_of_ours_is_noted(words: str):
    assert own_words(words, has_header=False, has_notes=False) == words
