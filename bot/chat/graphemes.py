"""Characters as people see them: a flag, a skin tone or a Thai sign is one, of several code points. Pure.

Which code points belong together: Unicode Standard Annex 29, extended grapheme clusters.
"""

from __future__ import annotations

import regex

_CLUSTER = regex.compile(r"\X")
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cn}\u2800]")


def last_break(text: str, at: int) -> int:
    """The last place up to `at`, in code points, where a character ends and another begins; 0 where there is none."""
    if at >= len(text):
        return len(text)
    plain = next((start for start in range(at - 1, 0, -1) if text[start].isascii()), 0)
    # An ASCII character begins one of its own; one code point more shows whether a character goes on behind `at`.
    ends = (plain + cluster.end() for cluster in _CLUSTER.finditer(text[plain : at + 1]))
    return max((end for end in ends if end <= at), default=plain)


def shortened(text: str, max_chars: int) -> str:
    """The beginning of `text` in at most `max_chars` code points, without half a character at its end.

    A character that alone is longer is cut all the same.
    """
    return text[: last_break(text, max_chars) or max_chars]


def without_unseen(text: str) -> str:
    """`text` without what no font shows: formatting, fillers, private use and what is no character."""
    return str(_UNSEEN.sub("", text))
