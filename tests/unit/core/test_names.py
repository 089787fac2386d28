from __future__ import annotations

import pytest

from core.errors import InvalidInput
from core.names import PersonName, PlaceName, parse_person, parse_place


def test_a_name_is_written_as_it_is_read():
    assert parse_place("slack:channel:C1") == PlaceName("slack", "channel", "C1")
    assert str(PlaceName("discord", "guild", "7")) == "discord:guild:7"
    assert parse_person("slack:U1") == PersonName("slack", "U1")
    assert str(PersonName("discord", "7")) == "discord:7"


@pytest.mark.parametrize("text", ["", "discord", "discord:7", "discord:guild:", "Discord:guild:7", "discord:guild:7:8"])
def test_what_is_no_place_is_one_sentence(text):
    with pytest.raises(InvalidInput, match="is no place; write source:kind:id"):
        parse_place(text)


@pytest.mark.parametrize("text", ["", "discord", ":7", "discord:", "discord:guild:7", "discord:7 8"])
def test_who_is_nobody_is_one_sentence(text):
    with pytest.raises(InvalidInput, match="is no person or bot; write source:id"):
        parse_person(text)
