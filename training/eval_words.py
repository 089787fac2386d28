"""Finds words in a reply that are no words. Knows English from a spell checker's list, and what it is told besides."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable

from spellchecker import SpellChecker

# What is no running text: code, addresses, and names with signs or digits in them.
NOT_TEXT = re.compile(
    r"```.*?(?:```|$)|`[^`]*`|\w+://\S+|www\.\S+|\S*[\w][@_/\\#=+<>]\S*|\S*\d\S*|\b[A-Z]{2,5}s?\b", re.DOTALL
)
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*['’]?")
MIN_ENGLISH_SHARE = 0.6
_CONTRACTIONS = """
ain't can't could've couldn't didn't doesn't don't em gonna gotta hadn't hasn't haven't he'd he'll he's how'd how's i'd
i'll i'm i've isn't it'd it'll it's kinda let's might've mustn't needn't o'clock she'd she'll she's should've shouldn't
that'd that'll that's there'd there'll there's they'd they'll they're they've tis twas wanna wasn't we'd we'll we're
we've weren't what'd what'll what's when's where's who'd who'll who's why's won't would've wouldn't y'all you'd you'll
you're you've
"""
CONTRACTIONS = frozenset(_CONTRACTIONS.split())


@functools.cache
def english_words() -> Callable[[str], bool]:
    """Whether a lower-cased word stands in the spell checker's English list, which lies on this machine."""
    words = SpellChecker(language="en", distance=1).word_frequency

    def is_word(word: str) -> bool:
        return word in words

    return is_word


def is_english(words: Iterable[str]) -> bool:
    """Whether most of these words are English: in another language every word would be none."""
    is_word, found = english_words(), list(words)
    return sum(map(is_word, found)) >= MIN_ENGLISH_SHARE * len(found)


def words_of(text: str) -> set[str]:
    """The words of a text, lower-cased; code, addresses and initials (URL) left out."""
    return {word.lower().replace("’", "'") for word in WORD.findall(NOT_TEXT.sub(" ", text))}


def unknown_words(
    reply: str, known: Iterable[str], is_word: Callable[[str], bool], *, is_cut: bool = False
) -> list[str]:
    """The words of a reply that stand neither in English nor in `known`, in their order of the alphabet.

    `known` are words of the prompt and of the persona's own rows, as `words_of` gives them. Of a reply that its limit
    cut off, the last word may be half a word and is not looked at. Single letters are none. A dropped g ("sailin'") and
    a possessive are looked up without it.
    """
    text = re.sub(r"\S+\s*$", "", reply) if is_cut else reply
    own = set(known)

    def is_known(word: str) -> bool:
        return word in own or word in CONTRACTIONS or is_word(word)

    return sorted(word for word in words_of(text) if len(word) > 1 and not any(map(is_known, _forms(word))))


def _forms(word: str) -> list[str]:
    """The word, and what it is without an ending that any word may take, or in American spelling."""
    stem = re.sub(r"'(?:s|ll|ve|d|re)?$", "", word)
    forms = [word, stem, _without_accents(stem), stem.replace("our", "or"), re.sub("re$", "er", stem)]
    return [*forms, f"{stem}g"] if word.endswith("in'") else forms


def _without_accents(word: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one))
