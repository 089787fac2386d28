"""What places and people are called, over all sources: "discord:channel:17", "slack:channel:C1", "discord:7".

A source is a way in: a chat platform, the API, the playground, the terminal. Its name begins every id that comes from
it, so no two sources share one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import InvalidInput

_PLACE = re.compile(r"(?P<source>[a-z][a-z0-9]*):(?P<kind>[a-z]+):(?P<id>[^\s:]+)")
_PERSON = re.compile(r"(?P<source>[a-z][a-z0-9]*):(?P<id>[^\s:]+)")


@dataclass(frozen=True, slots=True)
class PlaceName:
    """A server, channel, thread or the like: its `kind`, and the `id` that its platform gave it."""

    source: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.kind}:{self.id}"

    @property
    def prefix(self) -> str:
        """What the names of all places of this source and kind begin with."""
        return f"{self.source}:{self.kind}:"


@dataclass(frozen=True, slots=True)
class PersonName:
    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.id}"


def parse_place(text: str) -> PlaceName:
    """Raises InvalidInput for anything else.

    >>> parse_place("discord:channel:17")
    PlaceName(source='discord', kind='channel', id='17')
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InvalidInput(f'"{text[:60]}" is no place; write source:kind:id, for instance discord:channel:17.')
    return PlaceName(**found.groupdict())


def parse_person(text: str) -> PersonName:
    """Raises InvalidInput for anything else.

    >>> parse_person("discord:7")
    PersonName(source='discord', id='7')
    """
    found = _PERSON.fullmatch(text)
    if found is None:
        raise InvalidInput(f'"{text[:60]}" is no person or bot; write source:id, for instance discord:7.')
    return PersonName(**found.groupdict())
