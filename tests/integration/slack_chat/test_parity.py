"""The same conversation on Discord and on Slack leaves the same rows in the store, but for ids."""

from __future__ import annotations

from pathlib import Path

from tests.discord.commands import registered
from tests.discord.rooms import discord_room
from tests.parity.discord_talk import DiscordTalk
from tests.parity.rows import differences
from tests.parity.script import converse
from tests.parity.slack_talk import SlackTalk
from tests.slack.rooms import slack_room


async def test_one_conversation_leaves_the_same_rows_on_both_platforms(tmp_path: Path):
    async with discord_room(tmp_path / "discord", message_content=True) as discord:
        on_discord = await converse(DiscordTalk(await registered(discord)))
    async with slack_room(tmp_path / "slack") as slack:
        on_slack = await converse(SlackTalk(slack))
    assert list(on_discord) == list(on_slack)
    sides = ("Discord", "Slack")
    found = [
        f"after {part}: {one}"
        for part, rows in on_discord.items()
        for one in differences(rows, on_slack[part], between=sides)
    ]
    assert not found, "\n".join(found)
