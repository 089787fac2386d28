"""Secrets and personal data are found in what people write, and plain talk is left alone."""

from __future__ import annotations

import json

import pytest

from core.settings import ROOT
from training.private_words import find_private_words

MAX_FALSE_ALARMS = 0.01


@pytest.mark.parametrize(
    "text",
    [
        "Why does AKIAIOSFODNN7EXAMPLE not work?",
        "My token is ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-1234567890-abcdefghijklmnop",
        "connect to postgres://bob:s3cr3t@db.example/personas",
        "line one\n-----BEGIN RSA PRIVATE KEY-----",
        "password: hunter2",
        "it printed q9Xw7tZk3LpV5mNb8RfDq2Ws",
    ],
)
def test_a_secret_is_found(text):
    assert find_private_words(text) == "secret"


@pytest.mark.parametrize(
    "text",
    [
        "Write to bob@example.com, please.",
        "Call 555-123-4567 or +44 20 7946 0958.",
        "My card is 4111 1111 1111 1111.",
        "Her number is 078-05-1120.",
        "Pay to DE89 3704 0044 0532 0130 00.",
    ],
)
def test_personal_data_is_found(text):
    assert find_private_words(text) == "personal_data"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Arr, a stack be a pile of plates, matey.",
        "It was founded on 2024-03-15, version 1.2.3.4 followed in 2025.",
        "It costs 1 000 000 dollars, or 65536 doubloons.",
        "token = tokenizer.encode(text)",
        "the_quick_brown_fox_jumps_over_the_lazy_dog",
        "Die Donaudampfschifffahrtsgesellschaft fährt. 日本語でお願いします。 🎉",
    ],
)
def test_plain_talk_is_left_alone(text):
    assert find_private_words(text) is None


def test_hardly_any_row_of_the_shipped_personas_is_taken_for_private():
    rows = [json.loads(line) for line in (ROOT / "personas" / "noir" / "train.jsonl").read_text("utf-8").splitlines()]
    texts = [f"{row['instruction']}\n{row['input']}\n{row['output']}" for row in rows[::3]]
    found = [text for text in texts if find_private_words(text)]
    assert len(found) <= MAX_FALSE_ALARMS * len(texts), found
