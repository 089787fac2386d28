"""What the bot must be allowed in a server, the number of it all, and the URL that invites it. Knows no connection."""

from __future__ import annotations

from dataclasses import dataclass

import discord

SCOPES = ("bot", "applications.commands")


@dataclass(frozen=True, slots=True)
class Right:
    """A permission as discord.py and as Discord's own pages call it, and what is missing without it."""

    flag: str
    name: str
    without: str
    is_essential: bool = False


WEBHOOKS = Right("manage_webhooks", "Manage Webhooks", "the identity webhook shows plain messages instead")
RIGHTS = (
    Right("view_channel", "View Channels", "it hears nothing", is_essential=True),
    Right("send_messages", "Send Messages", "it cannot answer", is_essential=True),
    Right("send_messages_in_threads", "Send Messages in Threads", "it cannot answer in threads", is_essential=True),
    Right("read_message_history", "Read Message History", "it cannot follow a chain of replies", is_essential=True),
    Right("embed_links", "Embed Links", "greetings and the gallery show no cards"),
    Right("attach_files", "Attach Files", "greetings and the gallery show no pictures"),
    WEBHOOKS,
    Right("change_nickname", "Change Nickname", "the identity profile shows plain messages instead"),
)
PERMISSIONS = discord.Permissions(**{right.flag: True for right in RIGHTS})


def invite_url(application_id: int) -> str:
    """The page where somebody adds the bot to a server with exactly these rights."""
    return discord.utils.oauth_url(application_id, permissions=PERMISSIONS, scopes=SCOPES)


def missing(permissions: discord.Permissions) -> list[Right]:
    """What these permissions lack; an administrator's lack nothing."""
    if permissions.administrator:
        return []
    return [right for right in RIGHTS if not getattr(permissions, right.flag)]


def missing_in(channel: discord.abc.GuildChannel, bot: discord.Member) -> list[Right]:
    """What the bot lacks in a channel that it sees; threads have their channel's permissions.

    Nobody writes into a forum itself, and channels for voices have no threads. Who may not write shows no cards either.
    """
    permissions = channel.permissions_for(bot)
    if not permissions.view_channel or isinstance(channel, discord.CategoryChannel):
        return []
    needless: set[str] = set()
    if isinstance(channel, discord.ForumChannel):
        needless = {"send_messages"}
    elif isinstance(channel, discord.VoiceChannel | discord.StageChannel):
        needless = {"send_messages_in_threads"}
    if not permissions.send_messages:
        needless |= {"embed_links", "attach_files"}
    return [right for right in missing(permissions) if right.flag not in needless]
