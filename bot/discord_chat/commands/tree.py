"""Every command there is, put on the bot. Knows none of them from within."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from bot.discord_chat.bot import PersonaBot
from bot.discord_chat.commands.ask import ask, ask_about, reset
from bot.discord_chat.commands.data import DataButton, consent, forget, mydata, privacy
from bot.discord_chat.commands.duel import duel
from bot.discord_chat.commands.gallery import TurnPage, personas
from bot.discord_chat.commands.persona import blend, persona
from bot.discord_chat.commands.settings import settings
from bot.discord_chat.commands.sync import CommandSync
from bot.discord_chat.interactions import on_command_error


def define(tree: app_commands.CommandTree[Any]) -> None:
    """Put the definitions on a tree; the doctor compares them with Discord's without running the bot."""
    slash_commands: tuple[app_commands.Command[Any, Any, Any], ...] = (
        *(persona, blend, personas, ask, duel, reset),
        *(privacy, mydata, forget, consent, settings),
    )
    for command in slash_commands:
        tree.add_command(command)
    tree.add_command(ask_about)


async def add_to(bot: PersonaBot) -> None:
    """Let the bot answer its commands and their buttons, and tell Discord about them as soon as it is connected."""
    define(bot.tree)
    bot.tree.error(on_command_error)
    bot.add_dynamic_items(TurnPage, DataButton)
    sync = CommandSync(bot.tree, bot.parts.settings.data_dir)

    async def on_connect() -> None:
        await sync.run()

    bot.add_listener(on_connect, "on_connect")
