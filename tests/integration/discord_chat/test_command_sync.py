"""Discord is told the commands when they changed, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.discord_chat.commands.sync import FILE_NAME, CommandSync, drift
from tests.discord.commands import registered
from tests.discord.rooms import DiscordRoom

EVERY_COMMAND = {
    *("persona", "blend", "personas", "ask", "Ask a persona about this", "duel", "reset"),
    *("privacy", "mydata", "forget", "consent", "settings"),
}


@pytest.fixture
async def told(room: DiscordRoom) -> AsyncIterator[DiscordRoom]:
    yield await registered(room)


async def sync(room: DiscordRoom) -> int:
    """What a further connection does; how often Discord was told in all."""
    await CommandSync(room.chat.bot.tree, room.service.settings.data_dir).run()
    return room.fake.application.command_writes


async def test_every_command_is_registered_globally(told: DiscordRoom):
    assert {command["name"] for command in told.fake.application.registered(None)} == EVERY_COMMAND


async def test_another_connection_tells_nothing_anew(told: DiscordRoom):
    assert await sync(told) == 1
    assert await sync(told) == 1


async def test_changed_commands_are_told_again(told: DiscordRoom):
    told.chat.bot.tree.remove_command("blend")
    assert await sync(told) == 2
    assert await sync(told) == 2
    assert {command["name"] for command in told.fake.application.registered(None)} == EVERY_COMMAND - {"blend"}


@pytest.mark.parametrize("content", ["", "not json", '{"application": 1, "digest": "of another bot"}'])
async def test_a_digest_of_something_else_counts_for_nothing(told: DiscordRoom, content: str):
    (told.service.settings.data_dir / FILE_NAME).write_text(content, encoding="utf-8")
    assert await sync(told) == 2


async def test_a_refused_registration_is_tried_again_at_the_next_connection(told: DiscordRoom):
    told.chat.bot.tree.remove_command("blend")
    told.fake.faults.refuse("PUT", "/applications/*/commands", 403)
    assert await sync(told) == 1
    assert await sync(told) == 2


async def test_commands_as_registered_have_not_drifted(told: DiscordRoom):
    assert await drift(told.chat.bot.tree) == []


async def test_the_doctor_learns_what_differs(told: DiscordRoom):
    known = told.fake.application.commands[None]
    by_name = {command["name"]: key for key, command in known.items()}
    del known[by_name["blend"]]
    known[by_name["ask"]]["description"] = "Something else"
    known[by_name["settings"]]["default_member_permissions"] = None
    known[by_name["reset"]]["name"] = "restart"
    assert await drift(told.chat.bot.tree) == [
        'Discord does not have the command "blend".',
        'Discord does not have the command "reset".',
        'Discord has a command "restart" that this version does not.',
        'Discord has another form of the command "ask".',
        'Discord has another form of the command "settings".',
    ]
