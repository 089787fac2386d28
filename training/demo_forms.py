"""How people ask: question forms, openers, closers and typing mistakes. Pure text, driven by a random generator.

A form is a whole wording with a slot; {np} is a name as people say it ("a mutex"), {bare} the same without its article.
Forms are grouped by family (forms.json), so that a family can be held out: people ask in ways nobody wrote down.
"""

from __future__ import annotations

import json
import random
import re

from training.demo_facts import CORPUS

_DATA = json.loads((CORPUS / "forms.json").read_text(encoding="utf-8"))
DEFINITION_FORMS: dict[str, list[str]] = _DATA["definition"]
WHY_FORMS: dict[str, list[str]] = _DATA["why"]
EXAMPLE_FORMS: dict[str, list[str]] = _DATA["example"]
OPPOSITE_FORMS: dict[str, list[str]] = _DATA["opposite"]
CONTRAST_FORMS: list[str] = _DATA["contrast"]["contrast"]
REVERSE_FORMS: list[str] = _DATA["reverse"]["reverse"]
FOLLOW_UPS: dict[str, list[str]] = _DATA["follow_up"]
OPENERS: list[str] = _DATA["openers"]
CLOSERS: list[str] = _DATA["closers"]
REFUSALS: list[str] = _DATA["refusals"]
SYSTEM_OPENINGS: list[str] = _DATA["system_openings"]
SYSTEM_FILLERS: list[str] = _DATA["system_fillers"]
PLACES: list[str] = _DATA["places"]
THANKS: list[str] = _DATA["thanks"]
_SLOPPY_WORDS: dict[str, list[str]] = _DATA["sloppy_words"]
_NEIGHBOURS: dict[str, str] = _DATA["neighbours"]
_SYLLABLES: dict[str, list[str]] = _DATA["syllables"]
# Most syllables end open, and most words without an ending.
_CODAS = _SYLLABLES["codas"] + [""] * 12
_ENDINGS = _SYLLABLES["endings"] + [""] * 20
_SLOT = re.compile(r"\{(?:np|bare)\}")
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)


def fill(form: str, name: str) -> str:
    """Put a name into a form."""
    return form.format(np=name, bare=_ARTICLE.sub("", name))


def cross(rng: random.Random, families: list[list[str]]) -> str:
    """The head of one form before the tail of another: "everybody talks about {np}, why does it exist".

    Few of these are good English, but they teach that the name decides, whatever stands around it.
    """
    head, tail = rng.choice(rng.choice(families)), rng.choice(rng.choice(families))
    slot, end = _SLOT.search(head), _SLOT.search(tail)
    return head[: slot.end()] + tail[end.end() :] if slot and end else head


def dress(rng: random.Random, question: str) -> str:
    """Wrap a bare question as a person would send it: opener, closer, typing mistakes. The model is blind to case."""
    text = question
    if rng.random() < 0.28:
        text = rng.choice(OPENERS) + text
    if rng.random() < 0.55 and text[-1] not in "?!.":
        text += rng.choice(CLOSERS)
    return _mistype(rng, text) if rng.random() < 0.3 else text


def mistype_name(rng: random.Random, name: str) -> str:
    """A name with one slip of the finger in its longest word, or with two of its words joined."""
    words = name.split(" ")
    longest = max(range(len(words)), key=lambda i: len(words[i]))
    if longest > 0 and len(words[longest - 1]) > 2 and rng.random() < 0.25:
        words[longest - 1 : longest + 1] = [words[longest - 1] + words[longest]]
    else:
        words[longest] = misspell(rng, words[longest])
    return " ".join(words)


def _mistype(rng: random.Random, text: str) -> str:
    words = text.split(" ")
    if len(words) > 2 and rng.random() < 0.12:
        i = rng.randrange(len(words) - 1)
        words[i : i + 2] = [words[i] + words[i + 1]]  # "hashmap", "whatis"
    for _ in range(1 if len(words) < 6 else rng.choice((1, 1, 2))):
        i = rng.randrange(len(words))
        sloppy = _SLOPPY_WORDS.get(words[i].lower())
        words[i] = rng.choice(sloppy) if sloppy and rng.random() < 0.7 else misspell(rng, words[i])
    return " ".join(words)


def misspell(rng: random.Random, word: str) -> str:
    """One slip of the finger in a word of four letters or more: swap, drop, double, split, or a neighbouring key."""
    letters = [i for i, char in enumerate(word) if char.isalpha()]
    if len(letters) < 4:
        return word
    i = rng.choice(letters[1:-1])
    kind = rng.randrange(5)
    if kind == 0:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind == 1:
        return word[:i] + word[i + 1 :]
    if kind == 2:
        return word[:i] + word[i] + word[i:]
    if kind == 3:
        return word[:i] + " " + word[i:]
    near = rng.choice(_NEIGHBOURS.get(word[i].lower(), "e"))
    return word[:i] + near + word[i + 1 :]


def invent_word(rng: random.Random) -> str:
    """A word that sounds English and means nothing: what an unknown noun looks like to the model."""
    syllables = rng.choice((1, 2, 2, 3))
    stem = "".join(
        rng.choice(_SYLLABLES["onsets"]) + rng.choice(_SYLLABLES["vowels"]) + rng.choice(_CODAS)
        for _ in range(syllables)
    )
    return stem + rng.choice(_ENDINGS)
