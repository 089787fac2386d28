from __future__ import annotations

import pytest

from bot.discord_chat.names import check_names
from core.errors import InvalidSetting
from core.settings import Settings


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("allowed_places", "discord:server:1", 'ALLOWED_PLACES: "discord:server:1" is no place on Discord; .*guild:ID'),
        ("blocked_places", "slack:channel:C1,discord:guild:x", 'BLOCKED_PLACES: "discord:guild:x" is no place'),
        ("blocked_users", "discord:ann", 'BLOCKED_USERS: "discord:ann" is nobody on Discord; write discord:ID'),
        ("allowed_bots", "discord:bot", 'ALLOWED_BOTS: "discord:bot" is nobody'),
    ],
)
def test_a_name_that_no_discord_has_is_one_sentence(setting, value, sentence):
    with pytest.raises(InvalidSetting, match=sentence):
        check_names(Settings(**{setting: value}))


def test_names_of_other_platforms_are_left_to_them():
    check_names(Settings(allowed_places="discord:guild:1,slack:channel:C1", blocked_users="discord:7,slack:U1"))
