"""Whether a reply holds the answer to a factual question. Replies in, numbers out; knows no model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from training.fixed_prompts import Fact

# "4" stands neither in "24", "4.5" and "1,400" nor in "-4"; it does in "4." and "4, I think".
NUMBER_START, NUMBER_END = r"(?<![\w-])(?<!\d[.,])", r"(?!\w)(?![.,]\d)"


def is_answered(fact: Fact, reply: str) -> bool:
    """Whether one of the answers stands in the reply as a whole word or number, in any case of letters."""
    return any(_stands_in(answer, reply) for answer in fact.answers)


def retained(facts: Sequence[Fact], base: Sequence[str], replies: Sequence[str]) -> tuple[int, int]:
    """(questions that the base answers right, those of them that `replies` answer right as well)."""
    known = [
        is_answered(fact, reply)
        for fact, plain, reply in zip(facts, base, replies, strict=True)
        if is_answered(fact, plain)
    ]
    return len(known), sum(known)


def _stands_in(answer: str, reply: str) -> bool:
    text = r"\s+".join(re.escape(word) for word in answer.split())
    pattern = f"{NUMBER_START}{text}{NUMBER_END}" if answer[0].isdigit() else rf"(?<!\w){text}(?!\w)"
    return re.search(pattern, reply, re.IGNORECASE) is not None
