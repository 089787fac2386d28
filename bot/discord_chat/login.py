"""The token, and what Discord says to it."""

from __future__ import annotations

import discord

MISSING = (
    "PERSONAS_DISCORD_TOKEN is not set; copy the bot's token from Discord's developer portal, see docs/discord.md."
)
REFUSED = (
    "Discord does not accept PERSONAS_DISCORD_TOKEN; make a new token on the page Bot in Discord's developer portal and"
    " copy it, see docs/discord.md."
)


async def may_read_all(token: str) -> bool:
    """Whether the application was given the Message Content intent; asking for it without ends the connection."""
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(token)
        flags = client.application.flags if client.application is not None else discord.ApplicationFlags()
    return flags.gateway_message_content or flags.gateway_message_content_limited
