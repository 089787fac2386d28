"""How much structure a JSON text has, told before it is parsed. Knows no HTTP and no schema."""

from __future__ import annotations

# Far more than a conversation of the longest kind with tools has, and parsed within a few hundredths of a second.
MAX_JSON_VALUES = 30_000


def has_too_many_values(text: bytes, most: int = MAX_JSON_VALUES) -> bool:
    """Whether a JSON text may hold more than `most` values, in time that grows with its length alone.

    A parser makes an object of every value: a mebibyte of "{},{},..." is a hundred times its size in memory, and
    seconds of work that nothing interrupts. What stands inside strings does not count. For a text that is no JSON this
    holds for the part before the first mistake, where every parser stops.
    """
    if _marks(text) < most:
        return False
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # every quote that is left begins or ends a string
    if plain.count(b'"') > 4 * most:  # a value has a key at most
        return True
    return _marks(b"".join(plain.split(b'"')[::2])) >= most


def _marks(text: bytes) -> int:
    """What stands in front of every value but the first of all."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")
