"""What is wrong with a reply whatever it says: it repeats itself, or breaks off into garbage. Text in, verdict out."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

GRAM_WORDS, MAX_GRAMS = 4, 2
MIN_SENTENCE_WORDS = 5  # "Case closed. ... Case closed." is a manner of speaking
MAX_SAME_WORDS = 4  # in a row; "no, no, no, no" is the most
MAX_SAME_CHARACTERS, MAX_SAME_PIECES = 8, 7
RUNS = (
    re.compile(rf"([^\s\-=_*#.|])\1{{{MAX_SAME_CHARACTERS},}}"),
    re.compile(rf"([^\s\-=_*#.|]{{2,6}}?)\1{{{MAX_SAME_PIECES},}}"),
)
NOISE_SYMBOLS, NOISE_KINDS = 6, 3
TEMPLATE_TOKEN = re.compile(r"<\|[^|<>]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>")
CODE = re.compile(r"```.*?(?:```|$)|`[^`]*`", re.DOTALL)


def repeats_itself(reply: str) -> bool:
    """Whether the same four words stand in it three times, the same sentence twice, or one word or token runs on.

    A sentence counts from five words on, a run from five words, nine signs or eight pieces of words ("lollol...") on;
    signs that draw a line do not count.
    """
    text = reply.lower()
    if any(run.search(text) for run in RUNS):
        return True
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text)
    grams = Counter(zip(*(words[at:] for at in range(GRAM_WORDS)), strict=False))
    if any(count > MAX_GRAMS for count in grams.values()):
        return True
    windows = zip(*(words[at:] for at in range(MAX_SAME_WORDS + 1)), strict=False)
    if any(len(set(window)) == 1 for window in windows):
        return True
    sentences = Counter(" ".join(re.findall(r"\w+", part)) for part in re.split(r"[.!?\n]+", text))
    return any(count > 1 and len(part.split()) >= MIN_SENTENCE_WORDS for part, count in sentences.items())


def is_garbage(
    reply: str, *, prompt: str = "", special_tokens: Iterable[str] = (), scripts: Iterable[str] = ()
) -> bool:
    """Whether a reply is empty or holds what is no text: signs that cannot be shown, template tokens, symbol noise,
    or two letters in a row of a script that neither the prompt nor `scripts` have.

    Code between backticks may hold any symbols. A reply that its limit cut off is no garbage for that.
    """
    if not any(character.isalnum() for character in reply):
        return True
    if any(_cannot_be_shown(character) for character in reply):
        return True
    if TEMPLATE_TOKEN.search(reply) or any(token in reply for token in special_tokens):
        return True
    known = {*scripts, *scripts_of(prompt), "LATIN"}
    return _has_foreign_letters(reply, known) or _has_symbol_noise(reply)


def scripts_of(text: str) -> set[str]:
    """The scripts of a text's letters, by the first word of their Unicode names: "LATIN", "CYRILLIC"."""
    return {_script(character) for character in set(text) if character.isalpha()}


def _cannot_be_shown(character: str) -> bool:
    # Cf stays: emoji are joined by it. U+FFFD stands for bytes that make no character.
    return character == "\ufffd" or (
        unicodedata.category(character) in ("Cc", "Co", "Cn", "Cs") and character not in "\n\t\r"
    )


def _has_foreign_letters(reply: str, known: set[str]) -> bool:
    foreign = [character.isalpha() and _script(character) not in known for character in reply]
    return any(one and other for one, other in pairwise(foreign))


def _has_symbol_noise(reply: str) -> bool:
    runs = re.findall(rf"[^\w\s]{{{NOISE_SYMBOLS},}}", CODE.sub(" ", reply))
    return any(len(set(run)) >= NOISE_KINDS for run in runs)


def _script(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split()[0]
