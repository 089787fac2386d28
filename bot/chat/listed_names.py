"""The places and people that settings list: whether their platform can have such ones at all. Knows no SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.errors import InvalidSetting
from core.names import parse_person, parse_place
from core.settings import Settings, listed


def check_listed(settings: Settings, source: str, platform: str, place_ids: Mapping[str, str], person_id: str) -> None:
    """Raises InvalidSetting for a place or person of this source that no `platform` can have.

    `place_ids` are the patterns of ids by kind of place, and `person_id` that of a person's.
    """
    for setting, names in (("ALLOWED_PLACES", settings.allowed_places), ("BLOCKED_PLACES", settings.blocked_places)):
        for place in map(parse_place, sorted(listed(names))):
            if place.source == source and not re.fullmatch(place_ids.get(place.kind, "(?!)"), place.id):
                forms = ", ".join(f"{source}:{kind}:ID" for kind in place_ids)
                raise InvalidSetting(f'PERSONAS_{setting}: "{place}" is no place on {platform}; write one of {forms}.')
    for setting, names in (("BLOCKED_USERS", settings.blocked_users), ("ALLOWED_BOTS", settings.allowed_bots)):
        for person in map(parse_person, sorted(listed(names))):
            if person.source == source and not re.fullmatch(person_id, person.id):
                raise InvalidSetting(f'PERSONAS_{setting}: "{person}" is nobody on {platform}; write {source}:ID.')
