"""Which texts may stand for a persona wherever people choose one, and when two names are the same to them. Pure."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"  # within emoji, and within words of Persian and of India
TAGS = range(0xE0020, 0xE0080)  # the flags of England, Scotland and Wales are spelled with them
# Letters and symbols that show nothing.
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"


def one_line(text: str) -> str:
    """The text on one line: every run of blanks and line breaks is one blank. Raises ValueError for what cannot be
    printed, such as an escape sequence or a mark that turns the direction of writing."""
    for position, character in enumerate(text):
        if not can_be_shown(character):
            raise ValueError(f"character {position + 1} is U+{ord(character):04X}, which cannot be printed; remove it")
    line = " ".join(text.split())
    if not any(unicodedata.category(character)[0] in "LNPS" and character not in BLANKS for character in line):
        raise ValueError("it shows nothing; write something that can be seen")
    return line


def name_key(name: str) -> str:
    """The same for names that people cannot tell apart by width, case or what shows nothing."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    kept = (one for one in folded if unicodedata.category(one) != "Cf" and one not in BLANKS)
    return unicodedata.normalize("NFKC", " ".join("".join(kept).split()))


def can_be_shown(character: str) -> bool:
    """Whether it can be printed, or is a blank or a line break."""
    if unicodedata.category(character) == "Cc":
        return character in "\t\n\r"
    return character.isprintable() or character.isspace() or character in JOINERS or ord(character) in TAGS
