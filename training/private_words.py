"""Finds secrets and personal data in a text, so that no adapter learns them. Finds, and changes nothing.

detect-secrets (Yelp) knows the shapes of keys and tokens; datafog those of addresses and numbers that name a person, by
patterns alone: neither needs a model. Names and places of people are not found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal

import datafog
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import BasePlugin
from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin

PrivateWords = Literal["secret", "personal_data"]

# Dates, postcodes and IP addresses are datafog's, too, but say little of a person and stand in many plain answers.
PERSONAL = ["EMAIL", "PHONE", "SSN", "CREDIT_CARD", "DE_IBAN", "IBAN"]
HARMLESS_SECRETS = frozenset({"Public IP (ipv4)"})
FILE_NAME = "chat.ini"  # in files of this kind, a value after "password:" needs no quotes
_LONG_WORD = re.compile(r"[\w+/=-]{20,}")


def find_private_words(text: str) -> PrivateWords | None:
    """What a text holds that nobody should learn; a secret goes first."""
    if any(_has_secret(line) for line in text.splitlines()):
        return "secret"
    if datafog.scan(text, engine="regex", entity_types=PERSONAL, locales=["de"]).entities:
        return "personal_data"
    return None


def _has_secret(line: str) -> bool:
    shapes, entropies = _plugins()
    if any(plugin.analyze_line(filename=FILE_NAME, line=line) for plugin in shapes):
        return True
    quoted = [f'"{word}"' for word in _LONG_WORD.findall(line)]  # entropy is looked for between quotes only
    return any(plugin.analyze_line(filename=FILE_NAME, line=word) for word in quoted for plugin in entropies)


@cache
def _plugins() -> tuple[tuple[BasePlugin, ...], tuple[BasePlugin, ...]]:
    """Those that know a shape, and those that measure how random a word is, with the library's own limits."""
    kinds: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
    found = [kind() for name, kind in kinds.items() if name not in HARMLESS_SECRETS]
    entropies = tuple(plugin for plugin in found if isinstance(plugin, HighEntropyStringsPlugin))
    return tuple(plugin for plugin in found if plugin not in entropies), entropies
