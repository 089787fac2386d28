"""Asks again what people answered better, in other words, and tells whether the reply knows it. Knows no model.

Paraphrases are made without a model, by fixed templates: as a polite request, as an indirect question, and within a
small story. They change the words around a question and its form, not the question's own nouns, so they show that an
answer is bound to the question and not to the one wording that was trained on. None of them is ever trained on.

A better answer counts as known by its key words: its numbers and names, else its rarer words, without those of the
question, the persona's catchphrases and its own name, which anyone may say. Half of them must stand in the reply.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from core.messages import ChatMessage
from core.personas import Persona
from training.eval_adherence import mask_phrases
from training.eval_prompts import Conversation
from training.feedback_set import CorrectedReply

MIN_WORD_CHARS = 4
_ASKS = re.compile(
    r"^(?P<asks>who|what|when|where|which|why|how)(?P<kind> \w+)??"
    r" (?P<verb>is|are|was|were|did|does|do|can|could|should|will|would|has|have)\b (?P<rest>.+?)\??$",
    re.IGNORECASE | re.DOTALL,
)
_HELPERS = frozenset({"did", "does", "do"})  # they go when a question turns indirect


@dataclass(frozen=True, slots=True)
class Reasked:
    """One better answer: its question in three other wordings, and the words that show it is known."""

    exchange_id: str
    conversations: tuple[Conversation, ...]
    key_words: tuple[str, ...]

    def right(self, replies: Sequence[str]) -> int:
        """How many of these replies, one for each wording, know the answer."""
        return sum(knows(reply, self.key_words) for reply in replies)


def ask_again(persona: Persona, corrected: Sequence[CorrectedReply]) -> tuple[Reasked, ...]:
    """Every better answer that can be recognised, asked again; the latest where a question was answered twice."""
    latest: dict[str, CorrectedReply] = {}
    for correction in sorted(corrected, key=lambda one: (one.given_at, one.exchange_id)):
        latest[" ".join(correction.messages[-1]["content"].lower().split())] = correction
    found = []
    for correction in latest.values():
        *history, question = correction.messages
        if words := key_words(persona, question["content"], correction.reply):
            earlier = tuple(ChatMessage(turn["role"], turn["content"]) for turn in history)  # type: ignore[arg-type]
            conversations = tuple((*earlier, ChatMessage("user", text)) for text in paraphrases(question["content"]))
            found.append(Reasked(correction.exchange_id, conversations, words))
    return tuple(found)


def paraphrases(question: str) -> tuple[str, str, str]:
    """The question in three other wordings."""
    text = question.strip()
    lower = uncapitalised(text)
    return (
        f"One thing, please, and keep it short: {lower}",
        _indirect(text) or f"I would really like to know this: {lower}",
        f"A friend asked me something and I had no answer. The question was: {text} What do you say?",
    )


def uncapitalised(text: str) -> str:
    """The text as it stands behind a colon: with a small first letter, unless it begins with a name or I."""
    return text if _begins_with_name(text) else text[:1].lower() + text[1:]


def key_words(persona: Persona, question: str, answer: str) -> tuple[str, ...]:
    """The words of an answer that show it is known, lower-cased; none where it has nothing of its own to say."""
    bare = mask_phrases(answer, (*persona.file.catchphrases, persona.name, *persona.name.split()))
    asked = {word.lower() for word in _words(question)}
    sentences = [_words(sentence) for sentence in re.split(r"(?<=[.!?:])\s+|\n+", bare)]
    fresh = [word for words in sentences for word in words if word.lower() not in asked]
    numbers = [word for word in fresh if word[0].isdigit()]
    names = [word for words in sentences for word in words[1:] if word[0].isupper() and word.lower() not in asked]
    chosen = [word for word in (*numbers, *names) if len(word) > 1 or word.isdigit()] or [
        word for word in fresh if len(word) >= MIN_WORD_CHARS and word.lower() not in ENGLISH_STOP_WORDS
    ]
    return tuple(dict.fromkeys(word.lower() for word in chosen if word.lower() not in ENGLISH_STOP_WORDS))


def knows(reply: str, words: Sequence[str]) -> bool:
    """Whether at least half of the key words stand in the reply; there must be one."""
    said = {word.lower() for word in _words(reply)}
    return sum(word in said for word in words) >= math.ceil(len(words) / 2)


def _words(text: str) -> list[str]:
    return re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’-][^\W\d_]+)*", text)


def _indirect(question: str) -> str | None:
    """ "What is the capital of Spain?" as "Can you tell me what the capital of Spain is?"; None for other forms."""
    found = _ASKS.match(question)
    if found is None:
        return None
    asks, verb, rest = f"{found['asks'].lower()}{found['kind'] or ''}", found["verb"].lower(), found["rest"]
    if verb in _HELPERS or "," in rest or len(rest.split()) > 12:  # where the verb goes then is no template's guess
        return None
    return f"Can you tell me {asks} {rest} {verb}?"


def _begins_with_name(text: str) -> bool:
    first = (text.split() or [""])[0]
    return first == "I" or first.startswith("I'") or (len(first) > 1 and first[1:] != first[1:].lower())
