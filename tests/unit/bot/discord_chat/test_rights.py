"""The guide, the invite URL and the code name the same rights."""

from __future__ import annotations

import discord

from bot.discord_chat.rights import PERMISSIONS, RIGHTS, SCOPES, invite_url, missing
from core.settings import ROOT

GUIDE = (ROOT / "docs" / "discord.md").read_text(encoding="utf-8")


def test_the_guide_names_the_scopes_and_the_permission_number():
    assert f"permissions={PERMISSIONS.value}" in GUIDE
    assert f"`{PERMISSIONS.value}`" in GUIDE
    assert f"scope={'+'.join(SCOPES)}" in GUIDE
    assert all(f"`{scope}`" in GUIDE for scope in SCOPES)


def test_the_guide_s_url_is_the_one_the_bot_prints():
    assert invite_url(17).replace("17", "APPLICATION_ID", 1) in GUIDE


def test_the_guide_names_every_permission_and_no_other():
    rows = [row.split("|")[1].strip() for row in GUIDE.splitlines() if row.startswith("| ") and "|" in row[2:]]
    assert [row for row in rows if row in {right.name for right in RIGHTS}] == [right.name for right in RIGHTS]


def test_the_guide_s_way_to_the_first_persona_has_at_most_ten_steps():
    steps = [line for line in GUIDE.splitlines() if line[:2].rstrip(".").isdigit()]
    assert 5 <= len(steps) <= 10
    assert "/persona codebeard" in steps[-1]


def test_nothing_is_missing_with_exactly_these_permissions_or_as_an_administrator():
    assert missing(PERMISSIONS) == []
    assert missing(discord.Permissions(administrator=True)) == []
    assert missing(discord.Permissions.none()) == list(RIGHTS)
