"""Looks at the bot from outside, for the doctor: token, intents, servers, commands. Asks Discord and the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.chat.findings import Finding, Level
from bot.discord_chat.commands import tree as command_tree
from bot.discord_chat.commands.sync import FILE_NAME, drift
from bot.discord_chat.login import MISSING, REFUSED
from bot.discord_chat.names import check_names, places_of
from bot.discord_chat.rights import WEBHOOKS, Right, invite_url, missing, missing_in
from core.errors import InvalidSetting, PersonasError
from core.outside_files import real_path
from core.settings import Settings
from core.store.db import Store
from core.store.places import settings_of_each

MAX_GUILDS = 200  # what Discord lists at once
MAX_LOOKED_INTO = 20  # servers whose channels are looked at, three requests each
MAX_CHANNELS = 4  # named for each right
WHERE = "Server Settings, Roles, the bot's role, or open the URL below and add it again"
WHERE_IN_CHANNEL = "Edit Channel, Permissions"
PORTAL = "https://discord.com/developers/applications"
WITHOUT_CONTENT = (
    "Message Content intent off: the bot answers mentions, replies to it, direct messages and commands, which is what"
    " most servers want; for free-talk channels and threads without mentions switch it on at {portal}/{id}/bot"
)
WITH_CONTENT = "Message Content intent on: threads and free-talk channels need no mention"


async def inspect(settings: Settings, *, serve: str) -> AsyncIterator[Finding]:
    """A line for each thing that Discord says about this bot. `serve` is the command that starts it here."""
    if settings.discord_token is None:
        yield _finding("fail", MISSING)
        return
    try:
        check_names(settings)
    except InvalidSetting as error:
        yield _finding("fail", str(error))
    discord.http.Route.BASE = settings.discord_api_url
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # this bot has no voice
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        try:
            await client.login(settings.discord_token.get_secret_value())
            async for finding in _inspect(client, settings, serve):
                yield finding
        except discord.LoginFailure:
            yield _finding("fail", REFUSED)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            sentence = f"{settings.discord_api_url} does not answer as it should ({error}); check the network."
            yield _finding("fail", sentence)


async def _inspect(client: discord.Client, settings: Settings, serve: str) -> AsyncIterator[Finding]:
    application = client.application
    if application is None or client.user is None:
        return  # both are known since the login
    yield _finding("ok", f"the token is that of the bot {client.user}, application {application.name}")
    yield _intents(application)
    for finding in _installation(application):
        yield finding
    yield await _commands(client, settings, serve)
    guilds = await client.http.get_guilds(MAX_GUILDS)
    for place, guild in enumerate(guilds):
        yield await _server(client, settings, guild, is_looked_into=place < MAX_LOOKED_INTO)
    url = invite_url(application.id)
    if guilds:
        yield _finding("ok", f"to add it to another server or to renew its permissions: {url}")
    else:
        yield _finding("warn", f"the bot is in no server yet; add it to one: {url}")


def _intents(application: discord.AppInfo) -> Finding:
    flags = application.flags
    if flags.gateway_message_content or flags.gateway_message_content_limited:
        return _finding("ok", WITH_CONTENT)
    return _finding("ok", WITHOUT_CONTENT.format(portal=PORTAL, id=application.id))


def _installation(application: discord.AppInfo) -> list[Finding]:
    """What the developer portal says about where commands go and who may install the bot."""
    found = []
    if application.interactions_endpoint_url:
        page = f"{PORTAL}/{application.id}/information"
        text = f"commands and buttons go to an Interactions Endpoint URL instead of the bot; clear that field at {page}"
        found.append(_finding("fail", text))
    page = f"{PORTAL}/{application.id}/installation"
    if application.user_integration_config is None:
        text = f"people cannot install /ask to their own account; tick User Install at {page}"
        found.append(_finding("warn", text))
    if application.guild_integration_config is None:
        found.append(_finding("fail", f"the bot cannot be added to servers; tick Guild Install at {page}"))
    return found


async def _commands(client: discord.Client, settings: Settings, serve: str) -> Finding:
    tree: app_commands.CommandTree[Any] = app_commands.CommandTree(client)
    command_tree.define(tree)
    differences = await drift(tree)
    told = real_path(settings.data_dir) / FILE_NAME
    if not differences:
        return _finding("ok", "Discord has the commands of this version")
    if not told.exists():
        return _finding("warn", f"Discord does not have this version's commands yet; `{serve}` tells them")
    text = f"{' '.join(differences)} Delete {told} and start `{serve}`, which then tells Discord again."
    return _finding("warn", text)


async def _server(client: discord.Client, settings: Settings, about: Any, *, is_looked_into: bool) -> Finding:
    """What the bot lacks in one server. `about` is a partial guild, as Discord lists them."""
    lacks = missing(discord.Permissions(int(about["permissions"])))
    narrow: defaultdict[Right, list[str]] = defaultdict(list)
    if is_looked_into:
        async for right, channel in _channels_lacking(client, settings, int(about["id"])):
            if right not in lacks:
                narrow[right].append(channel)
    remarks = [f"may do all it needs{', but' if narrow else ''}"]
    if lacks:
        what = "; ".join(f"{right.name} ({right.without})" for right in lacks)
        remarks = [f"lacks {what}: {WHERE}{'; and' if narrow else ''}"]
    if narrow:  # often it is meant to be so
        what = "; ".join(f"{right.name} in {_some(channels)}" for right, channels in narrow.items())
        remarks.append(f"lacks {what}: {WHERE_IN_CHANNEL}")
    level: Level = "warn" if lacks or WEBHOOKS in narrow else "ok"
    if any(right.is_essential for right in lacks):
        level = "fail"
    return _finding(level, f'in the server "{about["name"]}" the bot {" ".join(remarks)}')


async def _channels_lacking(
    client: discord.Client, settings: Settings, guild_id: int
) -> AsyncIterator[tuple[Right, str]]:
    """Which rights the bot lacks in which channels that it sees; webhooks only where personas are shown by them."""
    guild = await client.fetch_guild(guild_id, with_counts=False)
    bot = await guild.fetch_member(client.user.id if client.user is not None else 0)
    channels = await guild.fetch_channels()
    with_webhooks = await _with_webhooks(settings, channels)
    for channel in channels:
        for right in missing_in(channel, bot):
            if right != WEBHOOKS or channel.id in with_webhooks:
                yield right, f"#{channel.name}"


async def _with_webhooks(settings: Settings, channels: Sequence[discord.abc.GuildChannel]) -> set[int]:
    """The channels whose personas speak through webhooks, by their ids; none where there is no database yet."""
    try:
        store = await Store.open(settings.store_url, create_or_upgrade=False)
    except PersonasError:  # the doctor says so by itself
        return set()
    try:
        async with store.read() as session:
            settings_there = await settings_of_each(session, *map(places_of, channels))
    finally:
        await store.close()
    return {one.id for one, there in zip(channels, settings_there, strict=True) if there.identity == "webhook"}


def _some(channels: list[str]) -> str:
    """The first few of them, and how many more there are."""
    more = [f"{len(channels) - MAX_CHANNELS} more"] if len(channels) > MAX_CHANNELS else []
    return ", ".join(channels[:MAX_CHANNELS] + more)


def _finding(level: Level, text: str) -> Finding:
    return Finding(level, "discord", text)
