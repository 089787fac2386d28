"""Discord beside the web side. Imports no discord before it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.chat.access import AccessLimits
from bot.commands.chat_side import ChatSide, not_installed

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

PACKAGE = "discord"
NOT_INSTALLED = not_installed("PERSONAS_DISCORD_TOKEN", "discord.py", "discord")


class DiscordSide(ChatSide["DiscordChat"]):
    name = "Discord"
    package = PACKAGE
    not_installed = NOT_INSTALLED

    @property
    def is_set_up(self) -> bool:
        return self._service.settings.discord_token is not None

    def _make_chat(self) -> DiscordChat:
        from bot.discord_chat.client import DiscordChat

        settings = self._service.settings
        return DiscordChat(self._service, settings, limits=AccessLimits.of(settings))

    async def _greeting_of(self, chat: DiscordChat) -> str:
        from bot.discord_chat.rights import invite_url

        await chat.is_ready.wait()
        servers = len(chat.bot.guilds)
        where = f"in {servers} server{'' if servers == 1 else 's'}"
        if servers == 0:
            where = f"in no server yet; add it to one: {invite_url(chat.bot.application_id or 0)}"
        return f"{chat.bot.user} {where}"
