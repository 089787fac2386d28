"""Every command there is, put on the bot. Knows none of them from within."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discord import app_commands

from bot.discord_chat.admin_commands import settings
from bot.discord_chat.ask_commands import ask, ask_about, reset
from bot.discord_chat.command_sync import CommandSync
from bot.discord_chat.data_commands import ConfirmForget, ConsentButton, consent, forget, mydata, privacy
from bot.discord_chat.gallery import TurnPage, personas
from bot.discord_chat.interaction_replies import on_command_error
from bot.discord_chat.persona_commands import blend, persona

if TYPE_CHECKING:
    from bot.discord_chat.client import PersonaBot


def define(tree: app_commands.CommandTree[Any]) -> None:
    """Put the definitions on a tree; the doctor compares them with Discord's without running the bot."""
    slash_commands: tuple[app_commands.Command[Any, Any, Any], ...] = (
        *(persona, blend, personas, ask, reset),
        *(privacy, mydata, forget, consent, settings),
    )
    for command in slash_commands:
        tree.add_command(command)
    tree.add_command(ask_about)


async def add_to(bot: PersonaBot) -> None:
    """Let the bot answer its commands and their buttons, and tell Discord about them as soon as it is connected."""
    define(bot.tree)
    bot.tree.error(on_command_error)
    bot.add_dynamic_items(TurnPage, ConsentButton)
    bot.add_view(ConfirmForget())
    sync = CommandSync(bot.tree, bot.chat.service.settings.data_dir)

    async def on_connect() -> None:
        await sync.run()

    bot.add_listener(on_connect, "on_connect")
