"""How many replies are flawed: they repeat themselves, are garbage, or hold words that are no words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.flaws import is_garbage, repeats_itself, scripts_of
from training.eval_words import unknown_words, words_of
from training.reply_writer import Written

REPEATS, GARBAGE, NO_WORDS = "repeats itself", "garbage", "no words"


@dataclass(frozen=True, slots=True)
class Language:
    """What a persona may say without a flaw: the words and scripts of its own rows, beside those of the language.

    `is_word` is None where its language has no list of words; then words are not judged.
    """

    words: frozenset[str]
    scripts: frozenset[str]
    special_tokens: frozenset[str]
    is_word: Callable[[str], bool] | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """One flawed reply, and what is wrong with it."""

    prompt: str
    reply: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of `count` replies, 0 to 1. `flawed`: with a flaw of any kind. `cut`: at their limit, which is no flaw."""

    count: int
    flawed: float
    repeats: float
    garbage: float
    no_words: float
    cut: float
    flaws: tuple[Flaw, ...]


def measure_quality(prompts: Sequence[str], replies: Sequence[Written], language: Language) -> Quality | None:
    """The quality of replies to prompts, in their order; None when there is none."""
    if not replies:
        return None
    found = [find_flaws(prompt, reply, language) for prompt, reply in zip(prompts, replies, strict=True)]

    def share(kind: str) -> float:
        return round(sum(any(reason.startswith(kind) for reason in reasons) for reasons in found) / len(found), 4)

    return Quality(
        count=len(replies),
        flawed=share(""),
        repeats=share(REPEATS),
        garbage=share(GARBAGE),
        no_words=share(NO_WORDS),
        cut=round(sum(reply.is_cut for reply in replies) / len(replies), 4),
        flaws=tuple(
            Flaw(prompt, reply.text, reasons)
            for prompt, reply, reasons in zip(prompts, replies, found, strict=True)
            if reasons
        ),
    )


def find_flaws(prompt: str, reply: Written, language: Language) -> tuple[str, ...]:
    """What is wrong with a reply, in words; nothing where it is fine."""
    reasons = []
    # The limit may cut a character in two.
    text = reply.text.rstrip("\ufffd") if reply.is_cut else reply.text
    if repeats_itself(text):
        reasons.append(REPEATS)
    if is_garbage(text, prompt=prompt, special_tokens=language.special_tokens, scripts=language.scripts):
        reasons.append(GARBAGE)
    if language.is_word is not None:
        known = language.words | words_of(prompt)
        if unknown := unknown_words(text, known, language.is_word, is_cut=reply.is_cut):
            reasons.append(f"{NO_WORDS}: {', '.join(unknown)}")
    return tuple(reasons)


def language_of(
    texts: Sequence[str], special_tokens: Sequence[str], is_word: Callable[[str], bool], *, is_english: bool
) -> Language:
    """What the persona's texts (system prompt, rows) allow."""
    whole = "\n".join(texts)
    return Language(
        frozenset(words_of(whole)),
        frozenset(scripts_of(whole)),
        frozenset(special_tokens),
        is_word if is_english else None,
    )
