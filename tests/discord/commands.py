"""What tests of commands share: a room whose commands are registered, and the answer to one."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from bot.discord_chat.commands.sync import FILE_NAME
from tests.discord.rooms import DiscordRoom
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.running.patience import TIMEOUT_S

ABOUT = "Ask a persona about this"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def registered(room: DiscordRoom) -> DiscordRoom:
    """The room, once Discord has been told the commands and the bot has noted that."""
    noted = room.service.settings.data_dir / FILE_NAME
    async with asyncio.timeout(TIMEOUT_S):
        while not noted.exists():  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0)
    return room


async def use(
    room: DiscordRoom, command: str, *, who: Person | None = None, in_: Channel | None = None, **options: Any
) -> Message:
    """The answer to a command, by default of ann in the channel."""
    interaction = await (who or room.ann).uses(command, in_=in_ or room.channel, **options)
    return await interaction.wait_reply()


async def press(room: DiscordRoom, message: Message, button: str, who: Person | None = None) -> str:
    """Press, and what the message says afterwards."""
    before = message.content
    await (who or room.ann).presses(message, button)
    await room.fake.wait_for(lambda: message.content != before)
    return message.content


def admin(room: DiscordRoom, name: str = "mod") -> Person:
    """Somebody who may manage the server."""
    found = room.fake.add_person(name)
    assert room.channel.guild is not None
    room.channel.guild.grant(found, "manage_guild")
    return found
