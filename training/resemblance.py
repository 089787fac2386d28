"""How alike two short texts are, by their characters and by their words. Knows no files and no personas."""

from __future__ import annotations

import re
from dataclasses import dataclass

GRAM_CHARS = 4
MIN_CONTENT_WORDS = 2
# Held-out rows are near-duplicates of a training row from here on.
DUPLICATE_GRAMS, DUPLICATE_WORDS = 0.7, 0.8
# An everyday prompt resembles a row beyond the first, or from the second on.
RESEMBLING_GRAMS, RESEMBLING_WORDS = 0.45, 0.6

_STOP_WORDS = """
a about all am an and any are as at be been but by can could did do does don't for from get got had has have he her hey
hi him his how how's i i'd i'll i'm i've if in is isn't it it's its just me my of ok okay on or our please she should so
some than that that's the their them then there they this to too u up ur was we were what what's whats when where which
who who's why will with would you you're your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is compared: `grams` are its runs of four characters, `words` those that carry meaning."""

    grams: frozenset[str]
    words: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Text:
        """Lower-cased, with everything but letters, digits and apostrophes squeezed to single blanks."""
        squeezed = " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'")))
        padded = f" {squeezed} " if squeezed else ""
        grams = frozenset(padded[at : at + GRAM_CHARS] for at in range(len(padded) - GRAM_CHARS + 1))
        return cls(grams, frozenset(squeezed.split()) - STOP_WORDS)


def is_near_duplicate(one: Text, other: Text) -> bool:
    """Whether a held-out text is a training text in disguise: nearly the same characters, or the same content words."""
    has_words = min(len(one.words), len(other.words)) >= MIN_CONTENT_WORDS
    return _jaccard(one.grams, other.grams) >= DUPLICATE_GRAMS or (
        has_words and _jaccard(one.words, other.words) >= DUPLICATE_WORDS
    )


def similarity(one: Text, other: Text) -> float:
    """The share of runs of four characters that two texts have in common, from 0 to 1."""
    return _jaccard(one.grams, other.grams)


def resembles(prompt: Text, row: Text) -> bool:
    """Whether a prompt is about what a row is about; stricter than `is_near_duplicate`."""
    return _jaccard(prompt.grams, row.grams) > RESEMBLING_GRAMS or (
        _jaccard(prompt.words, row.words) >= RESEMBLING_WORDS
    )


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """|A ∩ B| / |A ∪ B|; 0 for two empty sets."""
    union = len(one | other)
    return len(one & other) / union if union else 0.0
